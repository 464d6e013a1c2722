#!/usr/bin/env bash
# Creates the database cluster on an empty PGDATA, then becomes the server.
set -eo pipefail

fail() { echo >&2 "$0: $*"; exit 1; }

# NAME may come from the file that NAME_FILE names (a secret); both at once is a mistake.
from_file() { # NAME [DEFAULT]
  local file=$1_FILE
  [ -z "${!1}" ] || [ -z "${!file}" ] || fail "$1 and $file are both set; set one of them"
  [ -z "${!file}" ] || printf -v "$1" %s "$(<"${!file}")"
  export "$1=${!1:-${2:-}}"
  unset "$file"
}

sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --quiet -U "$POSTGRES_USER" -d "$POSTGRES_DB" "$@"; }

refuse_unsafe_start() {
  local old
  for old in /var/lib/postgresql /var/lib/postgresql/data /var/lib/postgresql/*/docker; do
    [ ! -s "$old/PG_VERSION" ] || fail "there is a database of PostgreSQL $(<"$old/PG_VERSION") in $old, and none in PGDATA" \
      "($PGDATA): upgrade it with pg_upgrade or a dump"
  done
  ! mountpoint -q /var/lib/postgresql/data || [ "$PGDATA" = /var/lib/postgresql/data ] ||
    fail "a volume at /var/lib/postgresql/data would stay unused: since 18, mount it at /var/lib/postgresql"
  [ -n "$POSTGRES_PASSWORD" ] || [ "$POSTGRES_HOST_AUTH_METHOD" = trust ] ||
    fail "the database is not initialised and POSTGRES_PASSWORD is not set: set it to a non-empty value"
}

initialise() { # the server's command
  local arguments=(--username="$POSTGRES_USER") script
  [ -z "$POSTGRES_PASSWORD" ] || arguments+=(--pwfile=/dev/stdin)
  # shellcheck disable=SC2086 # several arguments in one variable is how it is meant
  initdb "${arguments[@]}" $POSTGRES_INITDB_ARGS <<<"$POSTGRES_PASSWORD"
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"

  # On the socket only: over the network nobody meets a server that is not ready.
  shift
  set -- "$@" -c listen_addresses=
  pg_ctl --wait -o "${*@Q}" start
  export PGPASSWORD=$POSTGRES_PASSWORD
  [ "$POSTGRES_DB" = postgres ] || sql -d postgres -v name="$POSTGRES_DB" <<<'CREATE DATABASE :"name";'
  for script in /docker-entrypoint-initdb.d/*; do
    [ -e "$script" ] || continue
    echo "$0: $script"
    # shellcheck source=/dev/null
    case $script in
      *.sh) if [ -x "$script" ]; then "$script"; else . "$script"; fi ;;
      *.sql) sql -f "$script" ;;
      *.sql.gz) gunzip -c "$script" | sql ;;
    esac
  done
  pg_ctl --wait -m fast stop
  unset PGPASSWORD
}

[ "${1#-}" = "$1" ] || set -- postgres "$@"

if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /var/run/postgresql
  find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres: {} +
  exec env HOME=/var/lib/postgresql setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [ "$1" = postgres ]; then
  from_file POSTGRES_PASSWORD
  from_file POSTGRES_USER postgres
  from_file POSTGRES_DB "$POSTGRES_USER"
  from_file POSTGRES_INITDB_ARGS
  if [ ! -s "$PGDATA/PG_VERSION" ]; then
    refuse_unsafe_start
    mkdir -p "$PGDATA"
    initialise "$@"
  fi
fi
exec "$@"
