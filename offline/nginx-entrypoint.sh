#!/bin/sh
# Runs what lies in /docker-entrypoint.d, in order, before nginx; a script that fails stops the start.
set -e

if [ "$1" = nginx ] || [ "$1" = nginx-debug ]; then
  # A pipe, as in the official image: what a .envsh exports reaches the scripts after it, not nginx.
  find /docker-entrypoint.d/ -follow -type f | sort -V | while read -r script; do
    if [ ! -x "$script" ]; then echo >&2 "$0: ignored, not executable: $script"; continue; fi
    # shellcheck source=/dev/null
    case $script in
      *.envsh) . "$script" ;;
      *.sh) "$script" ;;
    esac
  done
fi
exec "$@"
