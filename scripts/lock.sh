#!/usr/bin/env bash
# Locks the requirements of app/, nginx/ and tests/ with hashes, in the Python that the images have.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(scripts/base-images.sh | grep ^python)
new=$(mktemp)
trap 'rm -f "$new"' EXIT
for folder in app nginx tests; do
  # shellcheck disable=SC2016 # a name, not a command
  echo '# Made by `make lock` from requirements.in.' >"$new"
  docker run --rm --volume "$PWD:/src:ro" --workdir /src "$python" sh -ec "
    pip install --quiet --root-user-action ignore uv==0.13.8 >&2
    uv --system-certs pip compile --quiet --python-platform linux --generate-hashes --no-emit-index-url --no-header \
      $folder/requirements.in" >>"$new"
  cat "$new" >"$folder/requirements.txt"
done
