#!/bin/sh
# Renders /etc/nginx/templates/**/NAME.template to /etc/nginx/conf.d/**/NAME. Only variables that are
# set are replaced, so nginx's own ($host, $uri) stay.
set -e

templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
output=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}

[ -d "$templates" ] || exit 0
if [ ! -w "$output" ]; then
  # Exit 0 is the official behaviour: nginx goes on with what configuration there is.
  echo >&2 "$0: ERROR: $templates exists, but $output is not writable"
  exit 0
fi
variables=$(awk 'BEGIN { f = ENVIRON["NGINX_ENVSUBST_FILTER"]; for (v in ENVIRON) if (v ~ f) printf "${%s} ", v }')
find "$templates" -follow -type f -name "*$suffix" | while read -r template; do
  rendered=$output/${template#"$templates/"}
  rendered=${rendered%"$suffix"}
  mkdir -p "$(dirname "$rendered")"
  envsubst "$variables" <"$template" >"$rendered"
done
