#!/usr/bin/env bash
# Closes the site, or opens it again, at once: scripts/maintenance.sh on | off. nginx/site/maintenance.conf
set -euo pipefail
cd "$(dirname "$0")/.."

in_nginx() { docker compose -f compose.prod.yaml exec --no-TTY nginx "$@"; }
case ${1:-} in
  on)
    in_nginx touch /var/cache/nginx/maintenance
    echo "closed: visitors get a 503, apart from MAINTENANCE_ALLOW. Open it again: make maintenance off" ;;
  off)
    in_nginx rm -f /var/cache/nginx/maintenance
    echo "open, within five seconds" ;;
  *)
    echo "maintenance: on or off" >&2
    exit 1 ;;
esac
