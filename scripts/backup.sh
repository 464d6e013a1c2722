#!/usr/bin/env bash
# Backups, on the server: scripts/backup.sh backup | backups | restore ["2026-11-24 12:34:56+00"] | drill. docs/backup.md
# A restore goes into new volumes, beside what runs. RESTORED in .env says which ones the stack has, so one line swaps all.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

compose() { docker compose --progress quiet -f compose.prod.yaml "$@"; }
in_backup() { compose exec --no-TTY --env LOG_FORMAT=text backup python3 /opt/flagstone/daemon.py "$@"; }
in_restore() { compose --profile restore run --rm --no-deps --no-TTY --quiet-pull "$@"; } # options service command...
volumes() { compose config --format json | tr ',' '\n' | sed -n 's/.*"name": *"\(.*_\(db\|uploads\|redis\)'"$1"'\)".*/\1/p' | xargs; }

restore() { # point in time
  local former reply=''
  former=$(setting RESTORED)
  export RESTORED
  RESTORED=-$(date -u +%Y%m%dT%H%M%S)
  trap give_up EXIT
  in_restore restore python3 /opt/flagstone/restore.py "$1"
  in_restore restore python3 /opt/flagstone/restore.py --uploads |
    in_restore --user 10001:10001 restore tar -x -C /srv/uploads
  say uploads "$(in_restore --user 10001:10001 restore sh -c 'find /srv/uploads -type f | wc -l') files"
  if [ "${yes:-}" != 1 ]; then
    read -rp "Put it in the place of what runs? What runs now is kept. [y/N] " reply || true
    [[ $reply = [Yy]* ]] || fail "not swapped."
  fi
  lock "a restore" # a deploy would start the old volumes again
  trap - EXIT
  swap "$former"
}

give_up() {
  local code=$?
  # shellcheck disable=SC2046 # a list of names
  docker volume rm $(volumes "$RESTORED") >/dev/null 2>&1 || true
  echo "restore: nothing has changed." >&2
  exit $code
}

swap() { # what RESTORED was
  local open=''
  if [ -n "$(compose ps --quiet nginx)" ]; then
    open=1
    scripts/maintenance.sh on
    compose stop app worker beat backup
  fi
  remember RESTORED "$RESTORED"
  compose up --detach --quiet-pull --wait # an empty machine builds its images now
  [ -z "$open" ] || scripts/maintenance.sh off
  say restored "what was before stays in: $(RESTORED=$1 volumes "$1")"
  say back "to it: RESTORED=$1 in .env, then docker compose -f compose.prod.yaml up -d"
}

case ${1:-} in
  backup) in_backup --now ;;
  backups) in_restore restore python3 /opt/flagstone/restore.py --list ;;
  restore) restore "${2:-}" ;;
  drill) in_backup --drill ;;
  *) fail "backup | backups | restore [POINT IN TIME] | drill" ;;
esac
