#!/bin/sh
# Refuses settings that cannot work, and writes what of http/ and stream/ has settings in it.
set -eu
fail() { echo "nginx cannot start: $*" >&2; exit 1; }
matches() { printf %s "$2" | grep -Ezqx "$1"; } # -z: a value of two lines is one value

case $TLS in on | off) ;; *) fail "TLS is on, or off for a site behind a proxy that has the certificate" ;; esac
[ "$TLS" = on ] || [ -n "$TRUSTED_PROXIES" ] ||
  fail "TLS=off needs TRUSTED_PROXIES, the networks of the proxy in front, such as 10.0.0.0/8"
# curl says what it would ask for: nginx's image has no other program that knows punycode.
punycode() { LC_ALL=C.UTF-8 curl -sS --resolve '*:1:127.0.0.1' "http://$1:1" 2>&1 | grep -o '[a-z0-9.-]*xn--[a-z0-9.-]*'; }
set -f # *.example.com is no pattern of files
for name in $DOMAIN $DOMAIN_ALIASES; do
  case $name in
    *[!\ -~]*) fail "DOMAIN and DOMAIN_ALIASES are written in punycode: $(punycode "$name" || echo xn--…) for $name" ;;
    *[!a-z0-9.*-]*) fail "DOMAIN and DOMAIN_ALIASES are names such as example.com: lower case, no scheme, no slash, no port" ;;
  esac
done
set +f
[ ${#DOMAIN} -le 253 ] || fail "DOMAIN has ${#DOMAIN} characters, and DNS knows no name of more than 253"
case $HSTS in *[!A-Za-z0-9=\;\ -]*) fail "HSTS is a value such as max-age=63072000; includeSubDomains" ;; esac

policy() { # name value: as nginx sends it
  case $2 in *[!A-Za-z0-9\'\ \;:/.*=+_?\&%-]*) fail "$1 is a Content-Security-Policy such as default-src 'self'; img-src https:" ;; esac
  printf %s "$2" | awk -f /etc/nginx/policy.awk
}
ENFORCED=$(policy CSP "$CSP")
case $CSP_REPORT_ONLY in
  off) REPORTED= ;;
  on) REPORTED=$ENFORCED ENFORCED= ;;
  *[a-z]\ *) REPORTED=$(policy CSP_REPORT_ONLY "$CSP_REPORT_ONLY") ;;
  *) fail "CSP_REPORT_ONLY is on, which blocks nothing and reports what CSP would; a policy to report beside it; or off" ;;
esac
UPGRADE="${ENFORCED:+; }upgrade-insecure-requests"

referrers='(no-referrer|(no-referrer|origin|strict-origin)-when-[a-z-]+|same-origin|(strict-)?origin|unsafe-url)'
matches "$referrers(, *$referrers)*" "$REFERRER_POLICY" ||
  fail "REFERRER_POLICY is a value such as strict-origin-when-cross-origin or no-referrer"
matches 'same-origin(-allow-popups)?|noopener-allow-popups|unsafe-none' "$COOP" ||
  fail "COOP is same-origin, same-origin-allow-popups, noopener-allow-popups or unsafe-none"
matches 'same-origin|same-site|cross-origin' "$CORP" || fail "CORP is same-origin, same-site or cross-origin"
feature='[a-z-]+=(\*|self|\(["A-Za-z0-9:/.* _-]*\))'
matches "$feature(, *$feature)*" "$PERMISSIONS_POLICY" ||
  fail 'PERMISSIONS_POLICY is a list such as camera=(), geolocation=(self "https://maps.example.com")'
PERMISSIONS_POLICY=$(printf %s "$PERMISSIONS_POLICY" | sed 's/"/\\"/g') # it comes between quotes
export ENFORCED REPORTED UPGRADE REFERRER_POLICY COOP CORP PERMISSIONS_POLICY

rate() { # name value
  matches '[1-9][0-9]*r/[sm]' "$2" || fail "$1 is a number of requests a second or a minute, such as 20r/s or 10r/m"
}
rate RATE_LIMIT "$RATE_LIMIT"
rate LOGIN_RATE_LIMIT "$LOGIN_RATE_LIMIT"
matches '[1-9][0-9]{0,3}' "$CONNECTION_LIMIT" || fail "CONNECTION_LIMIT is a number such as 256, at most 9999"
matches '0|[1-9][0-9]*[km]' "$EDGE_CACHE_SIZE" || fail "EDGE_CACHE_SIZE is a size such as 64m, or 0 for no such cache"
matches 'app|[a-z0-9._-]+:[0-9]+' "$UPSTREAM" || fail "UPSTREAM is a name and a port, such as app:8000"
networks() { # name value: what it names, with spaces between
  for network in $(echo "$2" | tr , ' '); do
    matches '([0-9]+\.){3}[0-9]+(/[0-9]+)?|[0-9a-f:]*:[0-9a-f:.]*(/[0-9]+)?' "$network" ||
      fail "$1 are networks such as 10.0.0.0/8, with commas between; \"$network\" is none"
    echo "$network"
  done
}
proxies=$(networks TRUSTED_PROXIES "$TRUSTED_PROXIES")
allowed=$(networks MAINTENANCE_ALLOW "$MAINTENANCE_ALLOW")

cd /etc/nginx
if [ "$EDGE_CACHE_SIZE" = 0 ]; then EDGE_CACHE_SIZE=1m; else cat app/public-addresses.conf 2>/dev/null || true; fi >/run/nginx/public-addresses.conf
for template in http/*.template stream/*.template; do
  name=$(basename "$template" .template)
  # shellcheck disable=SC2016 # envsubst wants the names
  envsubst '$ENFORCED $REPORTED $UPGRADE $REFERRER_POLICY $COOP $CORP $PERMISSIONS_POLICY $RATE_LIMIT $LOGIN_RATE_LIMIT $CONNECTION_LIMIT $MAX_BODY_SIZE $EDGE_CACHE_SIZE' <"$template" >"/run/nginx/$name"
done
echo "default $UPSTREAM;" >/run/nginx/upstream.conf
for network in $proxies; do echo "set_real_ip_from $network;"; done >/run/nginx/real-ip.conf
for network in $proxies; do echo "$network 1;"; done >/run/nginx/trusted-proxies.conf
for network in $allowed; do echo "$network '';"; done >/run/nginx/maintenance-allow.conf

# A kernel without IPv6 cannot listen to it.
[ -e /proc/net/if_inet6 ] || sed -i '/listen \[::\]/d' /run/nginx/*.conf
