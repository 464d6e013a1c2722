#!/bin/sh
# The pair that nginx serves, /run/nginx/tls: certbot's, or until there is one a self-signed placeholder.
# (A placeholder under live/ would make certbot refuse the name.) Then keeps watch for a newer one.
set -eu
served=/run/nginx/tls
issued=/etc/letsencrypt/current

grep -q http/tls.conf /run/nginx/site.conf || exit 0 # plain HTTP

case "$DOMAIN $DOMAIN_ALIASES" in *[!A-Za-z0-9.\ -]*)
  echo "DOMAIN and DOMAIN_ALIASES are names such as example.com: no scheme, no slash, no port" >&2
  exit 1 ;;
esac

serve() { # directory: take its pair, if certificate and key belong together
  if [ "$(openssl x509 -noout -pubkey -in "$1/fullchain.pem")" != "$(openssl pkey -pubout -in "$1/privkey.pem")" ]; then
    echo "certificate: the certificate and the key in $1 do not belong together" >&2
    return 1
  fi
  rm -rf $served.next && mkdir $served.next && cp -L "$1/fullchain.pem" "$1/privkey.pem" $served.next/ || return 1
  rm -rf $served && mv $served.next $served
}

if ! { [ -e $issued/fullchain.pem ] && serve $issued; }; then
  mkdir -p /run/nginx/placeholder
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 3650 \
    -subj "/CN=placeholder" -addext "subjectAltName=DNS:$DOMAIN" \
    -keyout /run/nginx/placeholder/privkey.pem -out /run/nginx/placeholder/fullchain.pem
  serve /run/nginx/placeholder
  echo "certificate: none issued for $DOMAIN yet; serving a self-signed placeholder"
fi

fingerprint() { openssl x509 -noout -fingerprint -sha256 2>/dev/null; }
shown() { openssl s_client -connect 127.0.0.1:8443 -servername "$DOMAIN" </dev/null 2>/dev/null | fingerprint; }

while sleep 5; do
  [ -e $issued/fullchain.pem ] || continue
  cmp -s $issued/fullchain.pem $served/fullchain.pem || serve $issued || continue
  # What counts is what clients are shown: a reload that was lost is done again.
  [ "$(shown)" = "$(fingerprint <$served/fullchain.pem)" ] ||
    { nginx -s reload && echo "certificate: reloading for the one issued for $DOMAIN"; }
done &
