#!/usr/bin/env bash
# Locks app/ and tests/ requirements with hashes, in the Python that the images have.
set -euo pipefail
cd "$(dirname "$0")/.."

for folder in app tests; do
  docker run --rm --interactive --volume "$PWD:/src:ro" --workdir /src "$(sed -n 's/^FROM \([^ ]*\).*/\1/p;q' app/Dockerfile)" sh -c "
    pip install --quiet --root-user-action ignore uv >&2
    uv --system-certs pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header $folder/requirements.in" >"$folder/requirements.new"
  { echo "# Made by \`make lock\` from requirements.in."; cat "$folder/requirements.new"; } >"$folder/requirements.txt"
  rm "$folder/requirements.new"
done
