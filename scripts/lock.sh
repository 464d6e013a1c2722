#!/usr/bin/env bash
# Locks what is installed from PyPI with hashes, in the Python that the images have. What is locked stays as it is, so
# that one more package moves none of the others; `--upgrade` takes the latest of all.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(scripts/base-images.sh | grep ^python)
new=$(mktemp)
trap 'rm -f "$new"' EXIT
# The order matters: what constrains others comes before them. The application's list constrains none of the template's,
# so that another application changes nothing but its own.
for list in flagstone/requirements nginx/requirements bench/requirements tests/requirements app/requirements \
  tests/movein/{blog,flaskr,conduit} certbot/requirements certbot/dns; do
  echo "# Made by \`make lock\` from ${list#*/}.in." >"$new"
  docker run --rm --volume "$PWD:/src:ro" --workdir /src "$python" sh -ec "
    pip install --quiet --root-user-action ignore uv==0.13.8 >&2
    [ ! -e $list.txt ] || cp $list.txt /tmp/locked.txt
    uv --system-certs pip compile --quiet --python-platform linux --generate-hashes --no-emit-index-url --no-header \
      --output-file /tmp/locked.txt $* $list.in
    cat /tmp/locked.txt" >>"$new"
  cat "$new" >"$list.txt"
done
