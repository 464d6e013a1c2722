#!/usr/bin/env bash
# Starts the development site and returns when it is healthy, or says why it is not.
set -euo pipefail
cd "$(dirname "$0")/.."

holder() { # of a port: a container, or a process where that can be known
  docker ps --filter "publish=$1" --format 'the container {{.Names}}' | grep . ||
    ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1, process \2/p' | grep . ||
    echo "another program"
}

explain() {
  local nginx port
  nginx=$(docker compose ps --all --quiet nginx)
  case $([ -z "$nginx" ] || docker inspect --format '{{.State.Error}}' "$nginx") in
    *"already allocated"* | *"already in use"* | *"not available"*)
      port=$(docker compose config nginx | sed -n 's/.*published: "\(.*\)"/\1/p')
      echo "up: port $port is taken by $(holder "$port" | head -n1). Free it, or set DEV_PORT in .env to another." ;;
    *)
      docker compose ps --all --format 'table {{.Service}}\t{{.Status}}'
      docker compose logs --tail 20 migrate app
      echo "up: the site is not healthy; above is what was said last. All of it: make logs" ;;
  esac
}

# Healthy is each container by itself; the last word has a request through all of them.
through_nginx=(curl --fail --silent --output /dev/null --retry 15 --retry-delay 1 --retry-all-errors
  --header 'Host: localhost' http://127.0.0.1:8080/health)
{ docker compose up --detach --build --wait --quiet-pull --remove-orphans &&
  docker compose exec --no-TTY nginx "${through_nginx[@]}"; } || { explain >&2; exit 1; }
# A page may still fail where its health does not: a template, a table.
front=$(docker compose exec --no-TTY nginx curl --silent --output /dev/null --write-out '%{http_code}' \
  --header 'Host: localhost' http://127.0.0.1:8080/)
[ "$front" -lt 500 ] || {
  docker compose logs --tail 20 app
  echo "up: every container is healthy, but the page / answers $front; above is what the application said last"
  exit 1
} >&2
echo "The site is up: http://$(docker compose port nginx 8080)"
