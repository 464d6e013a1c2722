#!/bin/sh
# Refuses settings that cannot work, and writes what of http/ has settings in it.
set -eu
fail() { echo "nginx cannot start: $*" >&2; exit 1; }

case $TLS in on | off) ;; *) fail "TLS is on, or off for a site behind a proxy that has the certificate" ;; esac
[ "$TLS" = on ] || [ -n "$TRUSTED_PROXIES" ] ||
  fail "TLS=off needs TRUSTED_PROXIES, the networks of the proxy in front, such as 10.0.0.0/8"
case "$DOMAIN $DOMAIN_ALIASES" in *[!a-z0-9.*\ -]*)
  fail "DOMAIN and DOMAIN_ALIASES are names such as example.com: lower case, no scheme, no slash, no port" ;;
esac
case $HSTS in *[!A-Za-z0-9=\;\ -]*) fail "HSTS is a value such as max-age=63072000; includeSubDomains" ;; esac
case $CSP in *[!A-Za-z0-9\'\ \;:/.*=+_-]*) fail "CSP is a Content-Security-Policy such as default-src 'self'; img-src https:" ;; esac
rate() { # name value
  echo "$2" | grep -Eqx '[1-9][0-9]*r/[sm]' || fail "$1 is a number of requests a second or a minute, such as 20r/s or 10r/m"
}
rate RATE_LIMIT "$RATE_LIMIT"
rate LOGIN_RATE_LIMIT "$LOGIN_RATE_LIMIT"

# shellcheck disable=SC2016 # envsubst wants the names
for name in headers rate-limits; do
  envsubst '$CSP $RATE_LIMIT $LOGIN_RATE_LIMIT' <"/etc/nginx/http/$name.conf.template" >"/run/nginx/$name.conf"
done

networks=$(echo "$TRUSTED_PROXIES" | tr , ' ')
{
  for network in $networks; do echo "set_real_ip_from $network;"; done
  echo "geo \$realip_remote_addr \$by_proxy {"
  for network in $networks; do echo "$network 1;"; done
  echo "default 0; }"
} >/run/nginx/trusted-proxies.conf
