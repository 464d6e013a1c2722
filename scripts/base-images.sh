#!/bin/sh
# Prints the upstream images that the stack is built on, from the places where their versions are written.
cd "$(dirname "$0")/.." || exit
{
  sed -n 's/^FROM \([^ ]*:[^ ]*\).*/\1/p' flagstone/Dockerfile nginx/Dockerfile certbot/Dockerfile backup/Dockerfile tests/Dockerfile
  sed -n 's/^ *image: \([a-z/]*:[0-9.]*\)$/\1/p' compose.prod.yaml
} | sort -u
