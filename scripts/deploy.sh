#!/usr/bin/env bash
# Releases, on the server: scripts/deploy.sh deploy [TAG-OR-COMMIT] | rollback [RELEASE] | restart | releases
# The new container of `app` starts beside the old one and gets the requests by one rename (flagstone/live.py). Until
# then whatever fails is undone, and the old one has noticed nothing. docs/deploy.md
# shellcheck disable=SC2329 # step() calls most of what follows
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

HEALTHY_WITHIN=60 # seconds for a new container
KEPT=$(setting RELEASES_KEPT 5)
REGISTRY=$(setting IMAGE_REGISTRY)
SMOKE_PATHS=$(setting SMOKE_PATHS /)
LOG=releases/log # time, release, who, result, migrations

export COMPOSE_FILE=compose.prod.yaml
compose() { docker compose "$@"; }
# What `compose ps --quiet` lists, in a fifth of the time.
containers() { # service [options of docker ps]
  docker ps --quiet --no-trunc --filter "label=com.docker.compose.project=$PROJECT" \
    --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False "${@:2}"
}
find_live() {
  PROJECT=$(compose config --format json | sed -n 's/^  "name": "\(.*\)",\{0,1\}$/\1/p')
  NGINX=$(containers nginx)
  LIVE=$(live)
}
in_nginx() { docker exec "$NGINX" "$@"; }

record() { # result
  printf '%s\t%s\t%s\t%s\t%s\n' "$(date -u +%FT%TZ)" "$RELEASE" "$(who)" "$1" "$MIGRATIONS" >>"$LOG"
}

# The container that serves, by the symlink that nginx follows; nothing where none does.
live() {
  local name
  name=$(in_nginx readlink /run/app/live.sock 2>/dev/null) || return 0
  docker ps --quiet --no-trunc --filter "id=${name%.sock}"
}
release_of() { docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$1" | sed -n 's/^RELEASE=//p'; }
address() { echo "/run/app/$(docker inspect --format '{{.Config.Hostname}}' "$1").sock"; }

ask() { # container path [curl's options]: as nginx will ask it
  in_nginx curl --silent --show-error --max-time 10 --unix-socket "$(address "$1")" --header "Host: $(setting DOMAIN)" \
    --header "X-Forwarded-Proto: https" --header "X-Forwarded-For: 127.0.0.1" "${@:3}" "http://app$2"
}

healthy() {
  local until=$((SECONDS + HEALTHY_WITHIN)) path code state='{{.State.Status}} {{.RestartCount}}'
  until said=$(ask "$NEW" /health --fail 2>&1); do
    # One that has exited is started again by its restart policy, and `docker ps` goes on listing it.
    [ "$(docker inspect --format "$state" "$NEW")" = "running 0" ] && [ "$SECONDS" -lt "$until" ] || {
      docker logs --tail 15 "$NEW"
      echo "the new container is not healthy: $said"
      return 1
    }
    sleep 0.3
  done
  for path in $SMOKE_PATHS; do
    code=$(ask "$NEW" "$path" --output /dev/null --write-out '%{http_code}')
    [ "$code" -lt 400 ] || { docker logs --tail 15 "$NEW"; echo "$path answers $code (SMOKE_PATHS)"; return 1; }
  done
}

get_images() {
  if [ -n "$REGISTRY" ]; then compose pull --quiet app nginx certbot backup; else compose build --quiet app nginx certbot backup; fi
}

# Each container is made and started by itself, and is what a plain `up -d` would have made, which so finds nothing to do.
# `up` would run migrate and static before each service that needs them; `up --no-deps` and `run` leave something else.
run_once() { # service: one that ends
  compose create --no-build "$1"
  docker start --attach "$(containers "$1" --all)"
}
migrate() {
  run_once migrate
  sed -n 's/.*Running upgrade .*-> *\([^ ,"]*\).*/\1/p' releases/said | xargs >releases/migrations
}
start_beside() {
  compose create --no-recreate --no-build --scale "app=$((RUNNING + 1))" app
  # shellcheck disable=SC2046 # a list of containers
  docker start $(containers app --all)
}
start_workers() { # [--force-recreate]
  compose create --no-build "$@" worker beat
  # shellcheck disable=SC2046
  docker start $(containers worker --all) $(containers beat --all)
}

# From here on the new one is what serves, and what a plain `up -d` keeps. Whatever may fail for want of room is before.
switch() {
  write_env RELEASE "$RELEASE"
  docker exec "$NEW" python -m flagstone.live
  mv .env.new .env
}

# What the old one has taken, it finishes: its queue is first come, first served, so once it has answered this, nothing
# waits for it. Then it ends what it works on, and no new request comes meanwhile.
drain() {
  local old
  for old in $OLD; do
    ask "$old" /health/live --output /dev/null || true
    docker stop "$old"
    docker rm "$old"
  done
}

# nginx and certbot are replaced only where their image or their settings changed. nginx's ports are closed meanwhile: it
# gets a few seconds to finish its responses, and a configuration that it would not take is found before.
NGINX_DRAIN=5
renew_edge() {
  if differs nginx; then
    compose run --rm --no-deps --no-TTY nginx nginx -t -q
    docker stop --time "$NGINX_DRAIN" "$NGINX"
    compose up --detach --no-deps --no-build --wait nginx
  fi
  compose up --detach --no-deps --no-build certbot backup
}

# `create` would stop a database whose image or settings changed, and leave it so.
renew_data() {
  if ! differs db redis; then return; fi
  [ "$(compose exec --no-TTY db printenv PG_MAJOR)" = "$(major_of "$(compose config --images db)")" ] ||
    { echo "the database is of another PostgreSQL than compose.prod.yaml names: make postgres-upgrade"; return 1; }
  compose up --detach --no-deps --no-build --wait db redis
}

prune() {
  local kept image name
  kept=$({ echo "$RELEASE"; deployed; } | awk -v kept="$KEPT" '!seen[$0]++ && number++ < kept')
  # shellcheck disable=SC2086 # a list of names
  compose run --rm --no-deps --no-TTY static python -m flagstone.publish --keep $kept
  name=$(image_name)
  docker images --format '{{.Repository}}:{{.Tag}}' "$name" | while read -r image; do
    grep -qxF "${image##*:}" <<<"$kept" || docker rmi "$image" || true
  done
}
image_name() { docker inspect --format '{{.Config.Image}}' "$(containers app --all | sed '2,$d')" | sed 's/:[^:]*$//'; }
deployed() { [ ! -e "$LOG" ] || awk -F '\t' '$4 == "serves" { print $2 }' "$LOG" | tac; } # newest first

undo() { # exit code
  [ "$1" != 0 ] || return 0
  trap '' INT TERM HUP
  if [ -n "$SWITCHED" ] || { [ -n "$NEW" ] && [ "$(live)" = "$NEW" ]; }; then
    echo "deploy: $RELEASE serves, but a step after \"$STEP\" was not done. Deploy once more, which does it." >&2
    record serves
    return
  fi
  for container in $(containers app --all); do
    [ "$container" = "$LIVE" ] || docker rm --force "$container"
  done >/dev/null 2>&1
  [ -z "$PUBLISHED" ] || RELEASE=$FORMER run_once static >/dev/null 2>&1 || true
  echo "deploy: \"$STEP\" failed, the reason is above. ${FORMER:+$FORMER goes on serving. }Mend it and deploy again." >&2
  record "failed: $STEP"
}

# Whatever an earlier one left when it was killed: containers of `app` that do not serve.
tidy() {
  local container
  for container in $(containers app); do
    if [ -n "$LIVE" ] && [ "$container" != "$LIVE" ]; then
      say tidied "a container that an interrupted deploy left"
      docker stop "$container" >/dev/null && docker rm "$container" >/dev/null
    fi
  done
}

release() { # what it does until the new container is started
  FORMER='' NEW='' PUBLISHED='' SWITCHED='' MIGRATIONS='' STEP=start
  [ -z "$LIVE" ] || FORMER=$(release_of "$LIVE")
  export RELEASE
  trap 'undo $?' EXIT
  trap 'exit 130' INT TERM HUP
  tidy
  if [ "$1" = deploy ]; then step images get_images; fi
  if [ -n "$LIVE" ]; then step data renew_data; fi
  if [ "$1" = deploy ] && [ -n "$LIVE" ]; then
    step migrated migrate
    MIGRATIONS=$(cat releases/migrations)
  fi
  if [ -z "$LIVE" ]; then # the first one: nobody to lose
    remember RELEASE "$RELEASE"
    step up compose up --detach --no-build --wait
  else
    PUBLISHED=1
    step static run_once static
    OLD=$(containers app)
    RUNNING=$(wc -w <<<"$OLD")
    step started start_beside
    NEW=$(containers app | grep -vxF "$OLD")
    step healthy healthy
    step switched switch
    SWITCHED=1 # there is nothing to undo any more
    step drained drain
    ! differs nginx || say note "nginx is replaced, its image or its settings changed: its ports are closed for a moment"
    step edge renew_edge
    # shellcheck disable=SC2046 # an option, or none
    step workers start_workers $([ "$1" != restart ] || echo --force-recreate)
  fi
  record serves
  step pruned prune
  trap - EXIT
  say serves "$RELEASE${FORMER:+, after $FORMER}"
}

deploy() { # [tag or commit]
  local commit
  lock "deploy ${1:-}"
  commit=$(git rev-parse --verify --quiet "${1:-HEAD}^{commit}") || fail "there is no tag or commit ${1:-}. git fetch --tags?"
  [ -n "${force:-}" ] || [ -z "$(git status --porcelain)" ] ||
    fail "the checkout has changes that no commit has (git status). force=1 deploys it all the same"
  if [ "$commit" != "$(git rev-parse HEAD)" ]; then
    git checkout --quiet --detach "$commit"
    exec 9>&- "$0" deploy # as that release does it
  fi
  RELEASE=$(git describe --always --abbrev=12 --exclude '*')
  [ -z "$(git status --porcelain)" ] || RELEASE+=-$(date +%s)
  find_live
  release deploy
}

lock_live() { # what for
  lock "$1"
  find_live
  [ -n "$LIVE" ] || fail "nothing serves; start it: docker compose -f compose.prod.yaml up -d"
}

restart() { # what serves, in new containers, which read .env and secrets/ anew
  lock_live restart
  RELEASE=$(release_of "$LIVE")
  release restart
}

rollback() { # [release]
  lock_live "rollback ${1:-}"
  RELEASE=${1:-$(deployed | grep -vxF "$(release_of "$LIVE")" | sed '2,$d')}
  [ -n "$RELEASE" ] || fail "there is no release before this one: make releases"
  docker image inspect "$(image_name):$RELEASE" >/dev/null 2>&1 || fail "the image of $RELEASE is not kept: make releases"
  local applied
  applied=$(awk -F '\t' -v to="$RELEASE" '$4 == "serves" { if ($2 == to) list = ""; else list = list " " $5 } END { print list }' "$LOG" | xargs)
  release rollback
  [ -z "$applied" ] || say stays "migrations that $RELEASE does not know: $applied"
}

releases() {
  local now='' image release
  [ -e "$LOG" ] || fail "none yet: make deploy"
  find_live
  [ -z "$LIVE" ] || now=$(release_of "$LIVE")
  image=$(image_name)
  tail -n 20 "$LOG" | column -t -s $'\t'
  echo
  for release in $(docker images --format '{{.Tag}}' "$image"); do
    if [ "$release" = "$now" ]; then say serves "$release"; else say kept "$release"; fi
  done
}

main() { # the script is read whole before it runs: a checkout replaces it
  case ${1:-} in
    deploy | rollback) "$1" "${2:-}" ;;
    restart | releases) "$1" ;;
    *) fail "deploy [TAG-OR-COMMIT] | rollback [RELEASE] | restart | releases" ;;
  esac
}
main "$@"
exit
