#!/bin/sh
# Renders the templates, then runs the scripts of /docker-entrypoint.d in order; one that fails stops the start.
set -eu

render() { # Only variables that are set are replaced, so nginx's own ($host, $uri) stay.
  if [ ! -w "$NGINX_ENVSUBST_OUTPUT_DIR" ]; then
    # To go on is the official behaviour: nginx starts with what configuration there is.
    echo "$0: ERROR: $NGINX_ENVSUBST_OUTPUT_DIR is not writable" && return
  fi
  for template in "$NGINX_ENVSUBST_TEMPLATE_DIR"/*.template; do
    name=$(basename "$template" .template)
    envsubst "$(awk 'BEGIN { for (v in ENVIRON) printf "${%s}", v }')" <"$template" >"$NGINX_ENVSUBST_OUTPUT_DIR/$name"
  done
}

if [ "$1" = nginx ]; then
  [ ! -d "${NGINX_ENVSUBST_TEMPLATE_DIR:-}" ] || render
  find /docker-entrypoint.d/ -name '*.sh' -perm -u=x | sort -V | while read -r script; do "$script"; done
fi
exec "$@"
