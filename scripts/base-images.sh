#!/bin/sh
# Prints the upstream images that the stack is built on, from the places where their versions are written; those of the
# profiles `monitoring` (their versions begin with a v) and `grafana` where COMPOSE_PROFILES names them.
cd "$(dirname "$0")/.." || exit
profiles=${COMPOSE_PROFILES-$(sed -n 's/^COMPOSE_PROFILES=//p' .env 2>/dev/null)}
{
  sed -n 's/^FROM \([^ ]*:[^ ]*\).*/\1/p' flagstone/Dockerfile nginx/Dockerfile certbot/Dockerfile backup/Dockerfile tests/Dockerfile
  sed -n 's/^ *image: \([a-z]*:[0-9.]*\)$/\1/p' compose.prod.yaml
  case ,$profiles, in *,monitoring,*) sed -n 's/^ *image: \([a-z0-9_/-]*:v.*\)$/\1/p' compose.prod.yaml ;; esac
  case ,$profiles, in *,grafana,*) sed -n 's/^ *image: \(grafana.*\)$/\1/p' compose.prod.yaml ;; esac
} | sort -u
