#!/usr/bin/env bash
# Writes a migration from the difference between the models and the development database.
# The container may not write into the checkout; it hands the file over by stdout, so the file belongs to you.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${1:-}" ] || { echo 'migration: say what changes: make migration m="add tags"' >&2; exit 1; }

docker compose run --rm --no-TTY --env MESSAGE="$1" migrate sh -ec '
  cp -r app/migrations /tmp/migrations
  touch /tmp/before
  what=migrate
  [ "$(flask db heads --directory /tmp/migrations | grep -c "(head)")" = 1 ] || what="merge heads" # two branches made one each
  flask db $what --directory /tmp/migrations --message "$MESSAGE" >&2
  cd /tmp/migrations
  find versions -newer /tmp/before -name "*.py" | grep . >/tmp/new
  tar -c -T /tmp/new
' | tar -xv --no-same-owner -C app/migrations
