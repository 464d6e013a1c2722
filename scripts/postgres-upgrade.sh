#!/usr/bin/env bash
# Brings the database to the PostgreSQL that compose.prod.yaml names: docs/database.md
# A cluster of the new version is made beside the old one in the same volume, filled from it, and compared; one rename
# makes it count. Until then whatever fails is undone. The old one stays. Usage: scripts/postgres-upgrade.sh
# shellcheck disable=SC2329 # step() calls most of what follows
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
export COMPOSE_FILE=compose.prod.yaml

ALL=/var/lib/postgresql # a directory a major version
RULES=/docker-entrypoint-initdb.d

# A container that has what the database's has, but no network: nobody comes in meanwhile.
beside() { # options, image, command...
  docker run --volumes-from "$db" --network none --user 999:999 --read-only --cap-drop ALL \
    --security-opt no-new-privileges --shm-size 128m --tmpfs /tmp --tmpfs /var/run/postgresql:uid=999,gid=999 "$@"
}
in_volume() { beside --rm --entrypoint bash "$image" -euc "$@"; }

# A server that lives as long as somebody may write into it: with this script. Two on one directory, in containers that do
# not see each other, would destroy it, and somebody may say `up` after this was killed.
serve() { # old | new, image, directory
  # shellcheck disable=SC2016 # the container's shell
  beside --interactive --rm --name "$name-$1" --entrypoint bash "$2" -c 'postgres "$@" & cat; kill -INT $!; wait' postgres \
    -D "$3" -clisten_addresses= -cunix_socket_directories="$ALL/$1.socket" -chba_file=$RULES/pg_hba.conf \
    -cident_file=$RULES/pg_ident.conf >"releases/upgrade-$1.log" 2>&1
}
start() {
  exec {OLD}> >(serve old "$old_image" "$from")
  exec {NEW}> >(serve new "$image" "$to.new")
}
stop() { # cleanly; what was killed is stopped already
  local server
  if [ -n "$OLD" ]; then exec {OLD}>&- {NEW}>&-; OLD=''; fi
  for server in old new; do
    timeout 300 sh -c "while [ -n \"\$(docker ps --quiet --filter name=$name-$server)\" ]; do sleep 0.3; done"
  done
}
alone() { # command...: a step, which does not keep the servers alive
  exec {OLD}>&- {NEW}>&-
  "$@"
}
answers() { # old | new
  local until=$((SECONDS + 300))
  until docker exec "$name-$1" pg_isready --quiet --host="$ALL/$1.socket"; do
    [ $SECONDS -lt $until ] || { tail "releases/upgrade-$1.log"; return 1; }
    sleep 0.3
  done
}
ask() { # old | new, database, options of psql: that of the new version knows both
  docker exec --interactive "$name-new" psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 \
    --host="$ALL/$1.socket" --username=postgres --dbname="$2" "${@:3}"
}

stop_writers() {
  ./scripts/maintenance.sh on
  # shellcheck disable=SC2086 # lists of containers
  docker stop $writers "$db"
}
begin() {
  clean
  in_volume "mkdir -m 700 $ALL/{old,new}.socket; initdb --username=postgres --auth=reject --pgdata=$to.new"
}
meet() {
  answers old
  answers new
  ask old postgres --command 'SELECT 1' || { echo "The volume is an old one: make db-roles prod=1 first."; return 1; }
}
# Roles, their passwords and all databases; `postgres` is there already. What a version writes, each later one can read;
# what a later one knows of an earlier one, a minor release may have changed since.
copy() {
  docker exec "$name-old" pg_dumpall --host="$ALL/old.socket" --username=postgres |
    sed '0,/^CREATE ROLE postgres;$/{//d}' | ask new postgres --output=/dev/null
  docker exec "$name-new" vacuumdb --quiet --all --analyze-only --host="$ALL/new.socket" --username=postgres
  ask new app --single-transaction --file $RULES/roles.sql
}
fingerprint() { # old | new: how much there is of each kind, and of each table the rows and a sum of their digests
  local database databases
  mapfile -t databases < <(ask "$1" postgres --command "SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1")
  for database in "${databases[@]}"; do
    echo "database $database"
    ask "$1" "$database" <<-'SQL'
	SELECT 'kind', relkind, count(*) FROM pg_class WHERE oid >= 16384 AND relkind <> 't' GROUP BY relkind ORDER BY relkind;
	SELECT format('SELECT %L, count(*), sum((''x'' || left(md5(t::text), 15))::bit(60)::bigint) FROM %s AS t',
	  oid::regclass, oid::regclass)
	FROM pg_class WHERE relkind IN ('r', 'm') AND oid >= 16384 ORDER BY oid::regclass::text \gexec
	SELECT 'large objects', count(*), sum(('x' || left(md5(t::text), 15))::bit(60)::bigint) FROM pg_largeobject AS t;
	SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2;
	SQL
  done
}
compare() {
  fingerprint old >releases/upgrade-old
  fingerprint new >releases/upgrade-new
  grep -qx 'database app' releases/upgrade-new
  diff releases/upgrade-old releases/upgrade-new
}
switch() {
  in_volume "mv -T $to.new $to; sync" # over an empty directory, where somebody had tried to start the new version
}
clean() {
  in_volume "rm -rf $to.new $ALL/{old,new}.socket"
}
undo() { # exit code
  [ "$1" != 0 ] || return 0
  trap '' INT TERM HUP
  [ "$STEP" != up ] || fail "the new cluster serves, and the site does not come up; the reason is above."
  stop
  clean
  # shellcheck disable=SC2086
  docker start "$db" $writers >/dev/null
  for container in $(docker compose ps --quiet app); do
    timeout 60 sh -c "until docker inspect --format '{{.State.Health.Status}}' $container | grep -qx healthy; do sleep 0.5; done" || true
  done
  scripts/maintenance.sh off >/dev/null
  fail "\"$STEP\" failed, the reason is above. The database is as it was, and the site is open."
}

lock "the database's upgrade"
db=$(docker compose ps --all --quiet db)
[ -n "$db" ] || fail "there is no database: docker compose -f compose.prod.yaml up -d"
writers=$(docker compose ps --quiet app worker beat backup | xargs)
name=postgres-upgrade-${db:0:12} OLD='' NEW=''
stop # those of an upgrade that was killed
image=$(docker compose config --images db) new=$(major_of "$image")
[ -n "$new" ] || fail "$image is not here: make setup"
old=$(in_volume "cd $ALL; ls -d */docker/PG_VERSION | sort -nr | sed '2,\$d; s|/.*||'")
from=$ALL/$old/docker to=$ALL/$new/docker
[ "$old" != "$new" ] || fail "the database is of PostgreSQL $old, as $image is: there is nothing to do"
old_image=${image%:*}:$old
docker image inspect "$old_image" >/dev/null 2>&1 || step pulled docker pull "$old_image"
read -r needed free < <(in_volume "echo \$(du -sk $from | cut -f1) \$(df -Pk $ALL | awk 'END { print \$4 }')")
[ "$free" -gt $((needed * 12 / 10)) ] || fail "the database has $((needed / 1024)) MB, and $((free / 1024)) MB of disk are free. The new one needs as much."

if [[ $(docker compose ps --services --status running) = *backup* ]]; then step backup make --no-print-directory backup; else
  say backup "none is made, its container does not run"
fi
step built docker compose build --quiet backup # its programs have to be of the new version, too
STEP=stopped
trap 'undo $?' EXIT
trap 'exit 130' INT TERM HUP
step stopped stop_writers
step begun begin
start
step met alone meet
step copied alone copy
step compared alone compare
stop
step switched switch
clean
step up docker compose up --detach --no-build --wait db app worker beat
trap - EXIT
scripts/maintenance.sh off
docker compose up --detach --no-deps --no-build backup
step backup make --no-print-directory backup
say kept "what was before, in $ALL/$old. Once nobody wants it back: docs/database.md"
