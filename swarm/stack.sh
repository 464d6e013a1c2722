#!/usr/bin/env bash
# Several machines, by Docker Swarm, from one of its managers: swarm/stack.sh stack | deploy. docs/scale.md
# shellcheck disable=SC2329 # step() calls most of what follows
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

WITHIN=600 # seconds, for all tasks of a release
RELEASE=${RELEASE:-$(git describe --always --abbrev=12 --exclude '*')}
OWN=$(setting STACK_FILE)
export RELEASE COMPOSE_PROFILES='' COMPOSE_FILE=compose.prod.yaml:swarm/compose.yaml${OWN:+:$OWN}

derive() { docker compose config --format json | python3 swarm/stack.py "$@"; } # [service...]
write_stack() {
  (umask 077 && derive >stack.yaml.new) || { rm stack.yaml.new && return 1; } # .env is in it
  mv stack.yaml.new stack.yaml
}
send() { docker stack deploy --detach=true --with-registry-auth --resolve-image never "$@" "$STACK"; }

ready() {
  local label
  [ "$(docker info --format '{{.Swarm.ControlAvailable}}')" = true ] || fail "this is no manager of a Swarm: docker swarm init"
  while read -r label; do
    [ -n "$(docker node ls --quiet --filter "node.label=$label=yes")" ] ||
      fail "no node has this label: docker node update --label-add $label=yes NODE"
  done < <(grep -o 'node.labels.[a-z]*' stack.yaml | sed 's/.*\.//' | sort -u)
}

# What has to be there before the new release is: the data, the static files on each edge, the migrations. A job runs once,
# so the former one goes.
prepare() {
  local job
  for job in migrate static; do docker service rm "${STACK}_$job" || true; done 2>/dev/null
  derive db redis migrate static | send --compose-file -
  for job in migrate static; do until_done "${STACK}_$job"; done
}
until_done() { # job
  local deadline=$((SECONDS + WITHIN)) states
  until states=$(docker service ps --format '{{.CurrentState}}' "$1") && [[ $states = Complete* ]] && ! grep -qv ^Complete <<<"$states"; do
    ! grep -qE '^(Failed|Rejected)' <<<"$states" && [ $SECONDS -lt $deadline ] || explain "$1"
    sleep 1
  done
}

# Until each service has all its tasks and none is updated: for five seconds, since an update begins after its order. Where
# Swarm rolls one back, the others follow: a release is one.
settle() {
  local deadline=$((SECONDS + WITHIN)) quiet=0 bad='' list service replicas mode state
  while [ $quiet -lt 5 ]; do
    list=$(states)
    [ -n "$list" ] && quiet=$((quiet + 1)) || quiet=0
    while read -r service replicas mode state; do
      case $mode$state in
        *job* | *completed\)*) continue ;;
        *paused | *rollback_completed) [ -n "$bad" ] || { bad=$service && roll_back_others; } ;;
        *updating | *rollback_started) quiet=0 ;;
      esac
      [ "${replicas%/*}" = "${replicas#*/}" ] || quiet=0
      [ $quiet != 0 ] || [ $SECONDS -lt $deadline ] || explain "${bad:-$service}"
    done <<<"$list"
    sleep 1
  done
  [ -z "$bad" ] || explain "$bad"
}
states() { # of each service: name, replicas, mode, what became of its update in this release
  join <(docker stack services --format '{{.Name}} {{.Replicas}} {{.Mode}}' "$STACK" | sort) \
    <(docker stack services --quiet "$STACK" |
      xargs docker service inspect --format '{{.Spec.Name}} {{with .UpdateStatus}}{{.State}}{{end}}' | sort)
}
roll_back_others() {
  states | awk '$NF == "updating" || $NF == "completed" { print $1 }' | xargs -rn1 docker service rollback --detach --quiet
}
explain() { # service: what the one said that failed last, and what ended it
  local failed
  failed=$(docker service ps --no-trunc --format '{{.ID}} {{.CurrentState}}: {{.Error}}' "$1" | grep -E '^[^ ]+ (Failed|Rejected|Pending)' | sed '2,$d')
  [ -z "$failed" ] || docker service logs --raw --tail 15 "${failed%% *}" 2>&1 || true
  echo "$1 is not as it should be: ${failed#* }$(docker service inspect --format '{{with .UpdateStatus}}; {{.Message}}{{end}}' "$1")"
  exit 1
}

# Those that no service uses: of the others Swarm keeps what it has.
prune() {
  local kind
  for kind in secret config; do
    docker "$kind" ls --quiet --filter "label=com.docker.stack.namespace=$STACK" | xargs -rn1 docker "$kind" rm || true
  done
}

stack() {
  write_stack
  say stack "stack.yaml, with $RELEASE"
}

deploy() {
  lock "stack-deploy $RELEASE"
  [ -n "$(setting IMAGE_REGISTRY)" ] || fail "the nodes pull from a registry: set IMAGE_REGISTRY in .env, and push there"
  STACK=$(docker compose config | sed -n 's/^name: //p')
  trap '[ $? = 0 ] || echo "stack: \"$STEP\" failed, the reason is above. What served goes on serving." >&2' EXIT
  step images docker compose pull --quiet app nginx certbot backup
  step stack write_stack
  step ready ready
  step prepared prepare
  step deployed send --compose-file stack.yaml --prune
  step settled settle
  step pruned prune
  remember RELEASE "$RELEASE"
  trap - EXIT
  say serves "$RELEASE"
}

case ${1:-} in
  stack | deploy) "$1" ;;
  *) fail "stack | deploy" ;;
esac
