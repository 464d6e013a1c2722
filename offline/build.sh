#!/usr/bin/env bash
# Builds local stand-ins for official images from Debian packages, where no registry answers.
# Usage: offline/build.sh IMAGE:TAG...    e.g. offline/build.sh nginx:1.30 postgres:18
#        offline/build.sh --recipe        the label flagstone.recipe of what would be built now
set -euo pipefail
cd "$(dirname "$0")"

BASE=$(sed -n 's/^FROM \(.*\) AS base$/\1/p' Dockerfile)
SUITE=${BASE#*:}
IMAGES=$(sed -n 's/^FROM base AS \(.*\)/\1/p' Dockerfile | grep -vx lists | sed 's|-|/|' | paste -sd'|')
RECIPE=$(cat Dockerfile ./*.sh | sha256sum | cut -c1-12)
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

step() { printf '%-9s %s\n' "$1" "$2"; }
fail() { printf 'offline: %s\n' "$@" >&2; exit 1; }
root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
# shellcheck disable=SC2016 # apt-get expands it
mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n1; }
tools() { command -v mmdebstrap >/dev/null && [ -e $KEYRING ]; }

build_base() {
  local mirror own_ca=(/usr/local/share/ca-certificates/*.crt)
  { tools && [ -n "$(mirror)" ]; } || root apt-get update -q >"$LOGS/apt" 2>&1 || true
  tools || root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
    mmdebstrap debian-archive-keyring >>"$LOGS/apt" 2>&1 || fail "apt-get could not install mmdebstrap; log: $LOGS/apt"
  step note "Debian $SUITE's package lists are accepted past their Valid-Until date, for these images only"
  mirror=$(mirror) # none on Ubuntu: mmdebstrap knows Debian's own
  [ -e "${own_ca[0]}" ] || own_ca=()
  # The machine's own certificate authorities come along, for builds behind a proxy that re-signs TLS.
  # shellcheck disable=SC2016 # mmdebstrap sets $1
  root mmdebstrap --quiet --variant=minbase --include=ca-certificates,tzdata --keyring=$KEYRING \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt=force-unsafe-io --dpkgopt=path-exclude='/usr/share/man/*' --dpkgopt=path-exclude='/usr/share/locale/*' \
    --dpkgopt=path-exclude='/usr/share/doc/*' --dpkgopt=path-include='/usr/share/doc/*/copyright' \
    ${own_ca:+--customize-hook="copy-in ${own_ca[*]} /usr/local/share/ca-certificates"} \
    --customize-hook='chroot "$1" update-ca-certificates' \
    "$SUITE" "$LOGS/base.tar" ${mirror:+"$mirror"} >"$LOGS/base" 2>&1 ||
    fail "the base image could not be built; log: $LOGS/base" "$(tail -n3 "$LOGS/base")"
  docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change "ENV FLAGSTONE_OFFLINE=$SUITE" --change "LABEL flagstone.offline=$SUITE" "$LOGS/base.tar" "$BASE" >/dev/null
  step built "$BASE"
}

build() { # image:tag
  local target=${1%%:*} version=${1#*:} log
  target=${target/\//-} version=${version#v}
  log=$LOGS/$target
  # The date makes the package lists a day old at most: a mirror keeps no older packages.
  docker build --progress=plain --target "$target" --tag "$1" --build-arg VERSION="${version%%-*}" \
    --build-arg TODAY="$(date +%F)" --label "flagstone.recipe=$RECIPE" . >"$log" 2>&1 ||
    fail "$1 could not be built; log: $log" "$(grep -om1 'E: .*' "$log" || tail -n5 "$log")"
  step built "$1"
}

[ "${1:-}" != --recipe ] || { echo "$RECIPE"; exit; }
[ $# -gt 0 ] || fail "which images? Usage: offline/build.sh IMAGE:TAG..."
for image; do # each stage of the Dockerfile is one, named like its official repository, with a dash for the slash
  [[ $image =~ ^($IMAGES):([0-9.]+(-slim-[a-z]+)?|v[0-9.]+(-alpine)?)$ ]] ||
    fail "no stand-in for $image. There are Debian ones for a tag of: ${IMAGES//|/, }"
done
LOGS=$(mktemp -d)
step offline "building stand-ins from Debian packages (for development, CI and trial)"
docker image inspect "$BASE" >/dev/null 2>&1 || build_base
for image; do build "$image" & done
failed=0
for job in $(jobs -p); do wait "$job" || failed=1; done
[ $failed = 0 ] && rm -r "$LOGS"
exit $failed
