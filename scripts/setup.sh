#!/usr/bin/env bash
# Makes this machine able to run the stack. Idempotent: one line a step, and only what is missing is done.
# Usage: scripts/setup.sh [development]. Only development takes stand-ins for the official images unasked.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

PURPOSE=${1:-production}

ENGINE_AT_LEAST=25.0 # the first with start_interval, by which a healthy container is known within a second
COMPOSE_AT_LEAST=2.24.4 # the first with !override, which compose.yaml needs
DISK_AT_LEAST_GB=3
DOCKERD_LOG=/var/log/dockerd.log
DOCKER_DOCS=https://docs.docker.com/engine/install/

can_be_root() { [ "$(id -u)" = 0 ] || { command -v sudo && { [ -t 0 ] || sudo -n true; }; } >/dev/null 2>&1; }
answers() { docker version >/dev/null 2>&1; }

forbidden() { [[ $(docker version 2>&1) = *"permission denied"* ]]; }
dockerd_here() { command -v dockerd || [ -x /usr/sbin/dockerd ]; } >/dev/null 2>&1 # not in every user's PATH
elsewhere() { # the engine is not this machine's to install: a remote one, or Docker Desktop's
  [ -n "${DOCKER_HOST:-}" ] || [ "$(uname)" != Linux ] || [ -d "${HOME:-/}/.docker/desktop" ]
}
wsl() { [[ $(uname -r) = *[Mm]icrosoft* ]]; }

missing_parts() {
  command -v docker >/dev/null || echo cli
  docker compose version >/dev/null 2>&1 || echo compose
  docker buildx version >/dev/null 2>&1 || echo buildx
  answers || forbidden || dockerd_here || elsewhere || echo engine
}

# Debian 12 has only Compose v1: take these four packages from Debian 13 and, by the pin, nothing else.
use_docker_of_debian_13() {
  local mirror
  # shellcheck disable=SC2016 # apt-get's own variable
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -n1)
  root tee /etc/apt/sources.list.d/docker-from-trixie.sources >/dev/null <<-SOURCE
	Types: deb
	URIs: ${mirror:?setup: no apt source for Debian 12 is configured}
	Suites: trixie
	Components: main
	Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	SOURCE
  root tee /etc/apt/preferences.d/docker-from-trixie >/dev/null <<-PIN
	Package: *
	Pin: release n=trixie
	Pin-Priority: -10

	Package: docker.io docker-cli docker-compose docker-buildx
	Pin: release n=trixie
	Pin-Priority: 900
	PIN
}

package() { # part, distribution
  case $1-$2 in
    engine-* | cli-ubuntu) echo docker.io ;;
    compose-ubuntu) echo docker-compose-v2 ;;
    *) echo "docker-$1" ;;
  esac
}

# Docker's proxy for published ports lost its IPv4 listener after some thousand connections, and nothing noticed. Without
# it the kernel does the same.
disable_userland_proxy() {
  [ -e /etc/docker/daemon.json ] ||
    echo '{"userland-proxy": false}' | root install -D -m 644 /dev/stdin /etc/docker/daemon.json
}

install_docker() { # parts...
  local packages=() part id='' version='' reply log
  # While Docker Desktop is stopped, WSL looks like a machine without Docker. A second engine is nobody's wish.
  ! wsl || dockerd_here || answers ||
    fail "Docker does not answer in WSL. Start Docker Desktop, with its WSL integration on (Settings, Resources)." \
      "For an engine in WSL itself: sudo apt-get install docker.io, then make setup again."
  # shellcheck source=/dev/null
  { id=$(. /etc/os-release && echo "$ID") version=$(. /etc/os-release && echo "${VERSION_ID:-}"); } 2>/dev/null || true
  [ "$id" = debian ] || [ "$id" = ubuntu ] ||
    fail "Docker is incomplete, missing: $*." "Install Docker Engine or Docker Desktop: $DOCKER_DOCS"
  ! dpkg -s docker-ce >/dev/null 2>&1 ||
    fail "missing beside docker-ce: $*. Run: apt-get install docker-compose-plugin docker-buildx-plugin"
  can_be_root ||
    fail "Docker is incomplete, missing: $*; installing it takes root or sudo." "Ask an administrator, or see $DOCKER_DOCS"
  for part; do packages+=("$(package "$part" "$id")"); done
  if [ -t 0 ]; then
    read -rp "Install ${packages[*]} with apt-get? [Y/n] " reply
    case ${reply:-y} in [Yy]*) ;; *) fail "Docker is needed. By hand: $DOCKER_DOCS" ;; esac
  fi
  log=$(mktemp)
  {
    root apt-get update -q
    if [ "$id$version" = debian12 ]; then use_docker_of_debian_13 && root apt-get update -q; fi
    if [[ " $* " = *" engine "* ]]; then disable_userland_proxy; fi
    root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${packages[@]}" iptables
  } >"$log" 2>&1 || fail "apt-get could not install Docker; log: $log" "$(tail -n5 "$log")"
  rm "$log"
  say installed "${packages[*]}"
}

start_engine() {
  ! forbidden || fail "you may not use Docker's socket. Run: sudo usermod -aG docker $(id -un), then log in again."
  { dockerd_here && ! elsewhere; } ||
    fail "Docker does not answer${DOCKER_HOST:+ at $DOCKER_HOST}. Start it (Docker Desktop: open it), then try again."
  can_be_root || fail "Docker is not running, and starting it takes root or sudo. Run: sudo systemctl start docker"
  if [ -d /run/systemd/system ]; then root systemctl start docker
  elif ! { root service docker start && wait_for_engine 10; } >/dev/null 2>&1; then
    root sh -c "setsid dockerd </dev/null >>$DOCKERD_LOG 2>&1 &"
  fi
  wait_for_engine 30 || fail "dockerd does not come up. Its log: $DOCKERD_LOG" "$(root tail -n3 $DOCKERD_LOG 2>/dev/null)"
  say started "Docker Engine"
}
wait_for_engine() { # seconds
  local deadline=$((SECONDS + $1))
  until answers; do [ $SECONDS -lt $deadline ] || return 1; sleep 0.3; done
}

check_engine() {
  local missing engine compose free
  missing=$(missing_parts | xargs)
  # shellcheck disable=SC2086 # a list of words
  if [ -n "$missing" ]; then install_docker $missing; fi
  answers || start_engine
  compose=$(docker compose version --short | sed 's/^v//; s/[^0-9.].*//')
  at_least "$compose" "$COMPOSE_AT_LEAST" ||
    fail "Docker Compose is $compose, and $COMPOSE_AT_LEAST or later is needed. Update it: $DOCKER_DOCS"
  engine=$(docker version --format '{{.Server.Version}}')
  at_least "$engine" "$ENGINE_AT_LEAST" ||
    fail "Docker Engine is $engine, and $ENGINE_AT_LEAST or later is needed. Update it: $DOCKER_DOCS"
  say docker "Engine $engine, Compose $compose"
  free=$(df -Pk "$(docker info --format '{{.DockerRootDir}}')" 2>/dev/null || df -Pk .)
  free=$(echo "$free" | awk 'END { print int($4 / 1048576) }')
  [ "$free" -ge "$DISK_AT_LEAST_GB" ] ||
    fail "$free GB of disk are free, and $DISK_AT_LEAST_GB GB are needed. Docker's own waste: docker system prune"
}

write_env() {
  if [ -e .env ]; then say .env "kept"; return; fi
  local own # what app/.env.example sets, .env.example only shows
  own=$(sed -n 's/^\([A-Z][A-Z_]*\)=.*/\1/p' app/.env.example | paste -s -d '|' -)
  (umask 077 && { sed -E "s/^(${own:-none})=/#&/" .env.example && cat app/.env.example; } >.env)
  say .env "written from .env.example and app/.env.example; DOMAIN is in it"
}

# Compose mounts a secret with the owner and mode it has on the host, and containers run as several users: each file is
# readable by all, in a folder that nobody but its owner may enter.
make_secrets() {
  local name made=''
  mkdir -p secrets && chmod 700 secrets
  while read -r name; do
    if [[ $name = *_public_keys ]]; then touch "secrets/$name" # of former ones; never made anew: containers have this very file
    elif [ ! -s "secrets/$name" ]; then
      rm -f "secrets/$name"
      case $name in
        *_private_key) scripts/openssl.sh genrsa 2048 ;;
        *) random_secret ;;
      esac >"secrets/$name"
      made="$made $name"
    fi
    chmod 444 "secrets/$name"
  done < <(sed -n 's|.*[./]/secrets/\([a-z_]*\)[ ,}]*.*|\1|p' compose.prod.yaml app/services.yaml)
  if [ -n "$made" ]; then say secrets "made$made"; else say secrets kept; fi
}

# A checkout under umask 077 cannot be read by the users of the containers that mount it. And where the engine confines
# them by SELinux, they read only what has this type; Compose cannot give it to secrets.
open_source() {
  chmod -R a+rX app db flagstone monitoring 2>/dev/null ||
    fail "app/, db/, flagstone/ or monitoring/ holds files of another user. Run: sudo chown -R $(id -un) app db flagstone monitoring"
  if [[ $(docker info --format '{{.SecurityOptions}}') = *selinux* ]]; then
    chcon -R -t container_file_t app db flagstone monitoring secrets ||
      fail "SELinux keeps containers from the files here. Run: sudo chcon -R -t container_file_t app db flagstone monitoring secrets"
  fi
}

# By the engine, which has the mirrors and the proxy. What a registry refuses is told at once; anything else is taken
# for the network, and tried again for up to half a minute.
pull() { # image
  local pause said since=''
  local refused='too ?many ?requests|denied|unauthorized|not found|manifest unknown|no matching manifest|no space left'
  for pause in 2 4 8 8 0; do
    if said=$(docker pull --quiet "$1" 2>&1); then say pulled "$1"; return; fi
    said=${said##*$'\n'}
    ! grep -qiE "$refused" <<<"$said" || fail "$1 could not be pulled. $said"
    [ -n "$since" ] || say waiting "for a registry with $1. $said"
    : "${since:=$SECONDS}"
    if [ $pause = 0 ] || [ $((SECONDS - since)) -ge 16 ]; then return 1; fi
    sleep $pause
  done
}

build_stand_ins() { # images...
  local reply='' reason="no registry answers for: $*."
  [ "${OFFLINE:-}" != 1 ] || reason="OFFLINE=1 pulls none of: $*."
  if [ "${OFFLINE:-}" != 1 ] && [ "$PURPOSE" != development ]; then
    [ ! -t 0 ] || read -rp "$reason Build stand-ins from Debian packages, for a trial? [y/N] " reply || true
    [[ $reply = [Yy]* ]] ||
      fail "$reason Once one does: make setup." "For a trial, on stand-ins from Debian packages: OFFLINE=1 make setup"
  fi
  { command -v apt-get >/dev/null && can_be_root; } ||
    fail "$reason" "Building them from Debian packages (offline/) takes Debian or Ubuntu, and root."
  offline/build.sh "$@"
}

# A stand-in that another version of offline/ built may lack what this one needs. On a server the warning has to do.
outdated() { # image
  local labels='{{index .Config.Labels "flagstone.offline"}} {{index .Config.Labels "flagstone.recipe"}}' suite recipe
  [ "$PURPOSE" = development ] || return 1
  read -r suite recipe < <(docker image inspect --format "$labels" "$1" 2>/dev/null) || return 1
  [ -n "$suite" ] && [ "$recipe" != "$(offline/build.sh --recipe)" ]
}

get_images() {
  local image missing=()
  for image in $(scripts/base-images.sh); do
    if ! docker image inspect "$image" >/dev/null 2>&1; then :
    elif outdated "$image"; then missing+=("$image") && continue
    else continue; fi
    # Where no registry answered for one image, it is not asked for the others.
    if [ ${#missing[@]} -gt 0 ] || [ "${OFFLINE:-}" = 1 ] || ! pull "$image"; then missing+=("$image"); fi
  done
  if [ ${#missing[@]} = 0 ]; then say images "all here"; else build_stand_ins "${missing[@]}"; fi
}

# What is built on a stand-in has its label, too. In development, `make up` builds anew what had one.
warn_of_stand_ins() {
  local names used
  names=$(scripts/base-images.sh)
  [ "$PURPOSE" = development ] || names+=$'\n'$(docker compose -f compose.prod.yaml config --images 2>/dev/null || true)
  used=$(docker images --filter label=flagstone.offline --format '{{.Repository}}:{{.Tag}}' |
    grep -Fxf <(echo "$names") | xargs) || true
  [ -z "$used" ] || say warning "stand-ins, not for the internet: $used. How to replace them: offline/README.md"
}

check_engine
write_env
get_images
make_secrets
open_source
warn_of_stand_ins
