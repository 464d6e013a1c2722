#!/usr/bin/env bash
# Creates the database cluster on an empty PGDATA, then becomes the server.
set -euo pipefail

fail() { echo >&2 "$0: $*"; exit 1; }

refuse_unsafe_start() {
  local old
  for old in /var/lib/postgresql{,/data,/*/docker}; do
    [ ! -s "$old/PG_VERSION" ] || fail "there is a database of PostgreSQL $(<"$old/PG_VERSION") in $old, and none in PGDATA" \
      "($PGDATA): upgrade it with pg_upgrade or a dump"
  done
  ! mountpoint -q /var/lib/postgresql/data ||
    fail "a volume at /var/lib/postgresql/data would stay unused: since 18, mount it at /var/lib/postgresql"
  [ -n "$POSTGRES_PASSWORD" ] ||
    fail "the database is not initialised and POSTGRES_PASSWORD is not set: set it to a non-empty value"
}

initialise() { # the server's options
  local script
  # shellcheck disable=SC2086 # a list of options
  initdb --username="$POSTGRES_USER" --pwfile=<(echo "$POSTGRES_PASSWORD") ${POSTGRES_INITDB_ARGS:-}
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  # On the socket only: over the network nobody meets a server that is not ready.
  pg_ctl --wait -o "${*@Q} -c listen_addresses=" start
  [ "$POSTGRES_DB" = postgres ] || createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
  for script in /docker-entrypoint-initdb.d/*; do
    echo "$0: $script"
    # shellcheck source=/dev/null
    case $script in
      *.sh) if [ -x "$script" ]; then "$script"; else . "$script"; fi ;;
      *.sql) psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet -U "$POSTGRES_USER" -d "$POSTGRES_DB" -f "$script" ;;
    esac
  done
  pg_ctl --wait stop
}

if [ "$1" = postgres ]; then
  export POSTGRES_USER=${POSTGRES_USER:-postgres} POSTGRES_PASSWORD=${POSTGRES_PASSWORD:-}
  export POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
  if [ ! -s "$PGDATA/PG_VERSION" ]; then
    refuse_unsafe_start
    initialise "${@:2}"
  fi
fi
exec "$@"
