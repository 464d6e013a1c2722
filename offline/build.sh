#!/usr/bin/env bash
# Builds local stand-ins for official images from Debian packages, where no registry answers.
# Usage: offline/build.sh IMAGE:TAG...    e.g. offline/build.sh nginx:1.30 postgres:18
set -euo pipefail
cd "$(dirname "$0")"

BASE=$(sed -n 's/^FROM \(.*\) AS base$/\1/p' Dockerfile)
SUITE=${BASE#*:}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

step() { printf '%-9s %s\n' "$1" "$2"; }
fail() { printf 'offline: %s\n' "$@" >&2; exit 1; }
root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
exists() { docker image inspect "$1" >/dev/null 2>&1; }

# Each stage of the Dockerfile is an image that can be built, under the name of its official repository.
target_of() { # image:tag
  local repository=${1%%:*} target supported
  target=${repository##*/}
  supported=$(sed -n 's/^FROM base AS \(.*\)/\1/p' Dockerfile | grep -vx lists)
  if ! grep -qx "$target" <<<"$supported" || [[ $repository != "$target" && $repository != "$target/$target" ]] ||
    [[ $1 != *:* || $1 = *@* || $1 = *alpine* ]]; then
    fail "no stand-in for $1. There are Debian ones for a tag of: ${supported//$'\n'/, }"
  fi
  echo "$target"
}

# shellcheck disable=SC2016 # apt-get expands it
mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n1; }

build_base() {
  command -v mmdebstrap >/dev/null && [ -n "$(mirror)" ] || root apt-get update -q >"$LOGS/apt" 2>&1 || true
  [ -n "$(mirror)" ] || fail "stand-ins are made from Debian packages, and this machine's apt has no Debian source." \
    "On a machine with a registry: docker pull, docker save; then docker load here."
  command -v mmdebstrap >/dev/null && [ -e $KEYRING ] ||
    root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
      mmdebstrap debian-archive-keyring >>"$LOGS/apt" 2>&1 || fail "apt-get could not install mmdebstrap; log: $LOGS/apt"
  step note "Debian $SUITE's package lists are accepted past their Valid-Until date, for these images only"
  local own_ca=(/usr/local/share/ca-certificates/*.crt)
  [ -e "${own_ca[0]}" ] || own_ca=()
  # The machine's own certificate authorities come along, for builds behind a proxy that re-signs TLS.
  # shellcheck disable=SC2016 # mmdebstrap sets $1
  root mmdebstrap --quiet --variant=minbase --include=ca-certificates,netbase,tzdata --keyring=$KEYRING \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt=force-unsafe-io --dpkgopt=path-exclude='/usr/share/man/*' --dpkgopt=path-exclude='/usr/share/locale/*' \
    --dpkgopt=path-exclude='/usr/share/doc/*' --dpkgopt=path-include='/usr/share/doc/*/copyright' \
    ${own_ca:+--customize-hook="copy-in ${own_ca[*]} /usr/local/share/ca-certificates"} \
    --customize-hook='chroot "$1" update-ca-certificates' \
    "$SUITE" "$LOGS/base.tar" "$(mirror)" >"$LOGS/base" 2>&1 ||
    fail "the base image could not be built; log: $LOGS/base" "$(tail -n3 "$LOGS/base")"
  docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change "LABEL flagstone.offline=$SUITE" "$LOGS/base.tar" "$BASE" >/dev/null
  step built "$BASE"
}

build() { # image:tag target
  local log="$LOGS/$2" version=${1#*:}
  version=${version#v}
  # The date makes the package lists a day old at most: a mirror keeps no older packages.
  docker build --progress=plain --target "$2" --tag "$1" --build-arg VERSION="${version%%-*}" \
    --build-arg TODAY="$(date +%F)" . >"$log" 2>&1 || fail "$1 could not be built; log: $log" "$(grep -om1 'E: .*' "$log" || tail -n5 "$log")"
  step built "$1"
}

[ $# -gt 0 ] || fail "which images? Usage: offline/build.sh IMAGE:TAG..."
targets=()
for image; do targets+=("$(target_of "$image")"); done
LOGS=$(mktemp -d)
step offline "no image registry answers: building stand-ins from Debian packages (for development, CI and trial)"
exists "$BASE" || build_base
for i in "${!targets[@]}"; do build "${@:i+1:1}" "${targets[i]}" & done
failed=0
for job in $(jobs -p); do wait "$job" || failed=1; done
[ $failed = 0 ] && rm -r "$LOGS"
exit $failed
