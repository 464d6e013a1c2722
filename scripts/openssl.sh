#!/usr/bin/env bash
# openssl: this machine's, or where it has none the one in nginx's image.
set -euo pipefail
cd "$(dirname "$0")/.."
if command -v openssl >/dev/null; then exec openssl "$@"; fi
exec docker run --rm --interactive --network none --entrypoint openssl "$(scripts/base-images.sh | grep ^nginx:)" "$@"
