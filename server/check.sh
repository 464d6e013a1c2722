#!/usr/bin/env bash
# What a server lacks, a line each with its remedy: make check-server. Changes nothing; exits 1 when anything is WRONG.
# shellcheck disable=SC2329 # expect() calls what it is given
# address=203.0.113.5 is the public address of a machine that does not know it, behind NAT.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
PATH=$PATH:/usr/sbin:/sbin # not in every user's
SYSTEM=${SYSTEM:-}         # another root directory, for the tests

wrong=0
expect() { # topic, what is well, what is not and the remedy, command...
  if "${@:4}" >/dev/null 2>&1; then printf 'ok     %-12s %s\n' "$1" "$2"; else
    printf 'WRONG  %-12s %s\n' "$1" "$3"
    wrong=1
  fi
}
has() { grep -qiE -- "$2" <<<"$1"; }
list() { paste -sd' ' -; }
ours() { [[ -z $1 || ${1%% *} -ef . ]]; }
mode() { [ "$(stat -c %a "$1")" = "$2" ]; }
fetch() { curl --noproxy '*' --silent --max-time 10 --output /dev/null "$@"; }
info() { docker info --format "{{$1}}" 2>/dev/null; }
publishes() { # port/protocol: the folder and the container, or the program, that has it
  docker ps --filter "publish=$1" --format '{{.Label "com.docker.compose.project.working_dir"}} {{.Names}}' 2>/dev/null |
    grep . || root ss -Hlnp "--${1#*/}" "sport = :${1%/*}"
}

# shellcheck disable=SC1090 # COMPOSE_AT_LEAST, ENGINE_AT_LEAST, DISK_AT_LEAST_GB
source <(grep -E '^[A-Z_]+_AT_LEAST' scripts/setup.sh)
remedy="sudo server/setup.sh" docs=https://docs.docker.com/engine/install
[ -e .env ] || fail "there is no .env yet: make setup"
domain=$(setting DOMAIN localhost) http=$(setting HTTP_PORT 80) https=$(setting HTTPS_PORT 443)
root true || fail "what sshd and ufw are set to is root's to read: sudo make check-server"

check_names() {
  local name here found elsewhere
  expect domain "$domain" "$domain: set DOMAIN in .env to the name of the site" has "$domain" '\.'
  has "$domain" '\.' && [ -z "$(setting TRUSTED_PROXIES)" ] || return # where a proxy is in front, they lead there
  here=$(ip -o addr show scope global | awk '{ sub("/.*", "", $4); print $4 }')$'\n'${address:-}
  for name in "$domain" $(setting DOMAIN_ALIASES | sed 's/\*[^ ]*//g'); do
    found=$(getent -s dns -A ahosts "$name" | awk '{ print $1 }' | sort -u)
    elsewhere=$(grep -vxFf <(echo "$here") <<<"$found" | list)
    expect dns "$name leads here" "$name leads to ${elsewhere:-nothing}, and this is $(list <<<"$here"): mend its A or \
AAAA record; behind NAT: make check-server address=PUBLIC_ADDRESS" [ "${found:+found}$elsewhere" = found ]
  done
}

check_ports() {
  local port holder open
  for port in "${http##*:}/tcp" "${https##*:}/tcp" "${https##*:}/udp"; do
    holder=$(publishes "$port")
    expect port "$port is free, or nginx's" "$port is taken, stop what has it: $holder" ours "$holder"
  done
  open=$(docker ps --format '{{.Names}} {{.Label "com.docker.compose.service"}} {{.Ports}}' 2>/dev/null |
    awk '$2 != "nginx" && /(0\.0\.0\.0|\[::\]):/ { print $1 }' | list)
  expect published "by nginx only" "$open: open to everybody, ufw does not stop it. Use 127.0.0.1:" [ -z "$open" ]
}

# By the public name, so by the way that visitors come, as far as the network lets a machine reach itself.
check_site() {
  local holder end days
  holder=$(publishes "${https##*:}/tcp")
  has "$domain" '\.' && [ "$(setting TLS on)" != off ] && [ -n "$holder" ] && ours "$holder" || return
  expect redirect "http leads to https" "http://$domain does not lead to https: is port 80 open at your provider?" \
    has "$(fetch --write-out '%{redirect_url}' "http://$domain/")" "^https://$domain"
  expect hsts "sent" "https://$domain does not send it: make cert-status" \
    has "$(fetch --dump-header - "https://$domain/")" '^strict-transport-security:'
  end=$(openssl s_client -connect "$domain:443" -servername "$domain" </dev/null 2>&1 |
    openssl x509 -noout -enddate 2>&1)
  days=$((($(date -d "${end#notAfter=}" +%s 2>/dev/null || date +%s) - $(date +%s)) / 86400))
  expect certificate "$days days left" "$days days left: make cert-status" [ "$days" -ge 3 ]
}

check_machine() {
  local folder free memory swap
  expect time "synchronised" "not synchronised: sudo timedatectl set-ntp true" \
    has "$(timedatectl show 2>&1)" '^NTPSynchronized=yes'
  for folder in / "$(info .DockerRootDir)"; do
    free=$(root df -Pk "${folder:-/}" | awk 'END { print int($4 / 1048576) }')
    expect disk "$free GB free in $folder" "$free GB free in $folder: docker system prune, or a larger disk" \
      [ "$free" -ge $((2 * DISK_AT_LEAST_GB)) ] # a release needs room for its images
  done
  read -r memory swap < <(awk '/^(MemTotal|SwapTotal)/ { printf "%d ", $2 / 1024 }' "$SYSTEM/proc/meminfo")
  expect memory "$memory MB" "$memory MB: take a machine of 2 GB or more" [ "$memory" -ge 1700 ]
  expect swap "$swap MB" "$swap MB, beside $memory MB of memory: $remedy" [ $((swap + memory / 4)) -ge 1000 ]
  expect upgrades "unattended" "not unattended: $remedy" \
    has "$(apt-config dump 2>&1)" '^APT::Periodic::Unattended-Upgrade "[1-9]'
  expect reboot "not needed" "an upgrade waits for it: sudo reboot" [ ! -e "$SYSTEM/run/reboot-required" ]
}

check_doors() {
  local sshd ufw port
  sshd=$(root "$(type -P sshd)" -T 2>/dev/null)
  expect ssh "root is not let in" "root is let in: $remedy" has "$sshd" '^permitrootlogin no'
  expect ssh "keys only" "passwords are let in: $remedy" \
    [ "$(grep -ciE '^(password|kbdinteractive)authentication no' <<<"$sshd")" = 2 ]
  ufw=$(root ufw status verbose 2>/dev/null)
  expect ufw "active" "not active: $remedy" has "$ufw" '^status: active'
  for port in $(sed -nE 's|^listenaddress .*:([0-9]+)$|\1/tcp|Ip' <<<"$sshd" | sort -u) 80/tcp 443/tcp 443/udp; do
    expect ufw "$port is allowed" "$port is not allowed: sudo ufw allow $port" \
      has "$ufw" "^([0-9,]+,)?${port%/*}(,[0-9,]+)?(/${port#*/})?( \(.*\))? +(ALLOW|LIMIT)"
  done
}

check_docker() {
  local engine compose stand_ins log_settings
  engine=$(docker version --format '{{.Server.Version}}' 2>/dev/null)
  compose=$(docker compose version --short 2>/dev/null)
  expect engine "$engine" "'$engine', and the least is $ENGINE_AT_LEAST: $docs" at_least "$engine" "$ENGINE_AT_LEAST"
  expect compose "$compose" "'$compose', and the least is $COMPOSE_AT_LEAST: $docs" \
    at_least "${compose#v}" "$COMPOSE_AT_LEAST"
  expect boot "Docker starts" "Docker does not start: sudo systemctl enable docker" systemctl is-enabled docker
  expect live-restore "on, or no use to a Swarm" "an upgrade of Docker stops the site: $remedy" \
    has "$(info .LiveRestoreEnabled) $(info .Swarm.LocalNodeState)" 'true| active$'
  expect privileges "no new ones" "containers may gain some: $remedy" has "$(info .SecurityOptions)" no-new-privileges
  log_settings="$(info .LoggingDriver) $(cat "$SYSTEM/etc/docker/daemon.json" 2>&1)"
  expect logs "capped" "of other containers grow without end: $remedy" \
    has "$log_settings" '^(local|journald|syslog) |max-size'
  stand_ins=$(docker images --filter label=flagstone.offline --format '{{.Repository}}:{{.Tag}}' 2>/dev/null |
    grep -Fxf <(scripts/base-images.sh) | list)
  expect images "official" "stand-ins, not for the internet: $stand_ins. See offline/README.md" [ -z "$stand_ins" ]
}

check_files() {
  expect .env "its owner's only" "others may read it: chmod 600 .env" mode .env 600
  expect secrets "their owner's only" "others may enter, or there are none: make setup" mode secrets 700
}

for part in names ports site machine doors docker files; do "check_$part"; done
exit $wrong
