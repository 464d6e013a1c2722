#!/usr/bin/env bash
# Runs a command in the test container, on a copy of this checkout. Whatever the tests start carries one prefix,
# and is removed at the end: after a failure and Ctrl-C too.
set -euo pipefail
cd "$(dirname "$0")/.."

TEST_ID=flagstone-test-$(printf %04x%04x $RANDOM $RANDOM) # of one length: none is the beginning of another
export TEST_ID
checkout=$PWD
copy=$(cd "$(mktemp -d)" && pwd -P)

clean_up() {
  trap '' INT TERM
  docker ps -q --filter "name=$TEST_ID" --filter status=paused | xargs -r docker unpause # or to remove it never ends
  docker ps -aq --filter "name=$TEST_ID" | xargs -r docker rm -fv
  docker network ls -q --filter "name=$TEST_ID" | xargs -r docker network rm
  docker volume ls -q --filter "name=$TEST_ID" | xargs -r docker volume rm
  docker images --format '{{.Repository}}:{{.Tag}}' | { grep "$TEST_ID" || true; } | xargs -r docker rmi -f
  if [ -d "$copy/artifacts" ]; then rm -rf "$checkout/artifacts" && mv "$copy/artifacts" "$checkout"; fi
  rm -rf "$copy"
} >/dev/null 2>&1
trap clean_up EXIT
trap 'exit 130' INT TERM

git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
  [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar -c --null -T - | tar -x -C "$copy"
cd "$copy"
COMPOSE_PROFILES=monitoring scripts/setup.sh development

# The tests drive Docker as the person who started them does: by its socket, with that person's uid.
# A rootless engine's is under /run/user; Docker Desktop maps the usual path wherever its own lies.
socket=$(docker context inspect --format '{{.Endpoints.docker.Host}}' | sed -n 's|^unix://\(/run/user/.*\)|\1|p')
export TEST_COPY=$copy TEST_USER TEST_SOCKET=${socket:-/var/run/docker.sock} TEST_SOCKET_GROUP
TEST_USER=$(id -u):$(id -g)
TEST_SOCKET_GROUP=$(stat -Lc %g "$TEST_SOCKET" 2>/dev/null || echo 0)
docker compose --project-name "$TEST_ID" --profile test build --quiet tests
docker compose --project-name "$TEST_ID" --profile test run --rm --no-TTY="$([ -t 0 ] && echo false || echo true)" tests "$@"
