#!/bin/sh
# Refuses settings that cannot work, and writes TRUSTED_PROXIES as nginx wants it.
set -eu
fail() { echo "nginx cannot start: $*" >&2; exit 1; }

case $TLS in on | off) ;; *) fail "TLS is on, or off for a site behind a proxy that has the certificate" ;; esac
[ "$TLS" = on ] || [ -n "$TRUSTED_PROXIES" ] ||
  fail "TLS=off needs TRUSTED_PROXIES, the networks of the proxy in front, such as 10.0.0.0/8"
case "$DOMAIN $DOMAIN_ALIASES" in *[!a-z0-9.*\ -]*)
  fail "DOMAIN and DOMAIN_ALIASES are names such as example.com: lower case, no scheme, no slash, no port" ;;
esac
case $HSTS in *[!A-Za-z0-9=\;\ -]*) fail "HSTS is a value such as max-age=63072000; includeSubDomains" ;; esac

networks=$(echo "$TRUSTED_PROXIES" | tr , ' ')
{
  for network in $networks; do echo "set_real_ip_from $network;"; done
  echo "geo \$realip_remote_addr \$by_proxy {"
  for network in $networks; do echo "$network 1;"; done
  echo "default 0; }"
} >/run/nginx/trusted-proxies.conf
