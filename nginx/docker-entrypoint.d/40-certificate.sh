#!/bin/sh
# /run/nginx/tls, the pair that nginx serves: yours, or certbot's, and until there is one a self-signed placeholder.
# (A placeholder under live/ would make certbot refuse the name.) Then keeps watch for a newer one.
set -eu
issued=/etc/letsencrypt/current
[ -z "$TLS_CERT_FILE" ] || issued=/run/secrets

grep -q http/tls.conf /run/nginx/site.conf || exit 0 # plain HTTP

cat >/run/nginx/pair.conf <<PAIR
pid /run/nginx/pair.pid;
error_log stderr;
events {}
http {
    include /etc/nginx/http/temporary-files.conf;
    ssl_certificate pair/fullchain.pem;
    ssl_certificate_key pair/privkey.pem;
    server { listen 127.0.0.1:8443 ssl; }
}
PAIR

say() { # level, what happened: as a line of the log
  printf '{"time":"%s","level":"%s","logger":"nginx.certificate","message":"certificate: %s"}\n' "$(date -u +%FT%T+00:00)" "$@"
}

serve() { # directory: its pair from now on, if nginx takes it
  rm -rf /run/nginx/pair && mkdir /run/nginx/pair && cp -L "$1/fullchain.pem" "$1/privkey.pem" /run/nginx/pair &&
    nginx -t -q -c /run/nginx/pair.conf || return 1
  case $1:$(readlink "$1") in *placeholder* | *:staging/*) ;; *) touch /run/nginx/pair/trusted ;; esac
  # One rename, so that no handshake meets half of it. The pairs before it stay: one may be in use.
  kept=/run/nginx/tls.$(date +%s%N)
  mv /run/nginx/pair "$kept" && ln -s "$kept" /run/nginx/tls.next && mv -T /run/nginx/tls.next /run/nginx/tls
}

refused() {
  say error "the pair in $issued is not served (above is why); nginx keeps what it has"
  [ -z "$TLS_CERT_FILE" ] || say error "TLS_CERT_FILE and TLS_KEY_FILE must belong together and be readable by uid 101"
}

mkdir -p /run/nginx/placeholder
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 3650 \
  -subj "/CN=placeholder" -addext "subjectAltName=DNS:$DOMAIN" \
  -keyout /run/nginx/placeholder/privkey.pem -out /run/nginx/placeholder/fullchain.pem 2>/dev/null
serve /run/nginx/placeholder

seen=
look() { # take up what has changed
  [ -e $issued/fullchain.pem ] || return 0
  now=$(cat $issued/fullchain.pem $issued/privkey.pem 2>/dev/null | cksum)
  [ "$now" != "$seen" ] || return 0
  seen=$now
  if serve $issued; then say info "serving the one in $issued for $DOMAIN"; else refused; fi
}
look
[ -n "$seen" ] || say warning "none issued for $DOMAIN yet; serving a self-signed placeholder"
while sleep 2; do look; done &
