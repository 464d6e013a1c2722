#!/usr/bin/env bash
# Makes a Debian or Ubuntu machine a server, from a checkout on it: sudo server/setup.sh. Idempotent: docs/server.md
# Whoever works there is the owner of the checkout or, where that is root, `deploy`, who gets it.
# SSH_KEY="ssh-ed25519 AAAA..." is that person's public key, where the machine has none yet.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
export PATH=$PATH:/usr/sbin:/sbin DEBIAN_FRONTEND=noninteractive

DROP_IN=/etc/ssh/sshd_config.d/00-flagstone.conf # sshd takes the first value it meets; a cloud's own file comes later
DOCKER=/etc/docker/daemon.json
SWAP=/swapfile

systemd() { [ -d /run/systemd/system ] || { say skipped "$1: systemd does not run here" && return 1; }; }
# By its whole path, as it insists on that. Newer ones write Port, older ones port.
sshd_says() { "$(type -P sshd)" -T -C "user=$user,host=localhost,addr=127.0.0.1" | sed 's/^[^ ]*/\L&/'; }
home() { getent passwd "$1" | cut -d: -f6; }
put() { # file mode: writes stdin there; false where it has that already
  local new
  new=$(cat)
  [ "$new" != "$(cat "$1" 2>/dev/null)" ] && install -D -m "$2" /dev/stdin "$1" <<<"$new"
}

install_packages() {
  local get=(apt-get install -qqy --no-install-recommends -o DPkg::Lock::Timeout=300) # a new machine may be at it, too
  get+=(ca-certificates curl git iproute2 jq make openssh-server openssl sudo ufw unattended-upgrades)
  # A second one would remove the first.
  type -P chronyd ntpd /usr/lib/systemd/systemd-timesyncd >/dev/null || get+=(systemd-timesyncd)
  "${get[@]}" >/dev/null 2>&1 || { apt-get update -qq && "${get[@]}" >/dev/null; }
  say packages "installed"
}

# May become root without a password: who may use Docker is root anyway, and root will not be let in any more.
make_user() {
  user=$(stat -c %U .)
  if [ "$user" = root ]; then
    user=deploy
    id $user >/dev/null 2>&1 || useradd --create-home --shell /bin/bash --password '*' $user
    chown -R $user: .
  fi
  getent group docker >/dev/null || groupadd --system docker
  usermod -aG docker "$user"
  if put /etc/sudoers.d/90-flagstone 440 <<<"$user ALL=(ALL) NOPASSWD: ALL"; then visudo -c >/dev/null; fi
  sudo -u "$user" test -r "$PWD/Makefile" || fail "$user cannot read $PWD: move it to /srv, and begin again."
  say user "$user, in the groups $(id -nG "$user")"
}

# Where there is no key yet, those of whoever runs this. Lines that begin with options are left out: clouds put
# "log in as somebody else" there.
give_keys() {
  local new=${SSH_KEY:-} keys
  keys=$(home "$user")/.ssh/authorized_keys
  install -d -m 700 -o "$user" -g "$(id -g "$user")" "${keys%/*}"
  [ -n "$new" ] || ssh-keygen -lf "$keys" >/dev/null 2>&1 ||
    new=$(grep -shE '^(ssh|ecdsa|sk)-' ~root/.ssh/authorized_keys "$(home "${SUDO_USER:-root}")/.ssh/authorized_keys" |
      sort -u) || true
  [ -z "$new" ] || grep -qxF -- "$new" "$keys" 2>/dev/null || echo "$new" >>"$keys"
  ssh-keygen -lf "$keys" >/dev/null 2>&1 || fail "$user has no ssh key, and with passwords off nobody could log in." \
    "Run it with your public key: sudo SSH_KEY='ssh-ed25519 AAAA... you@laptop' server/setup.sh"
  chown "$user:" "$keys" && chmod 600 "$keys"
  say keys "$(grep -c '^[^#]' "$keys") in $keys"
}

# Nothing is reloaded before sshd has read it, and would let that user in.
secure_ssh() {
  local says rule
  mkdir -p /run/sshd # is not there yet where a socket starts sshd
  says=$(sshd_says) || fail "sshd does not accept its configuration, see above. Mend that first."
  for rule in "allowusers $user" "allowgroups ($(id -nG "$user" | tr ' ' '|'))"; do
    ! grep "^${rule%% *} " <<<"$says" || grep -qxE "$rule" <<<"$says" ||
      fail "sshd lets in only those: add $user in /etc/ssh first, or nobody could log in."
  done
  grep -q '^authorizedkeysfile .*\.ssh/authorized_keys' <<<"$says" ||
    fail "AuthorizedKeysFile in /etc/ssh is not .ssh/authorized_keys, where the key is: nobody could log in."
  put $DROP_IN 644 <server/sshd.conf || true
  says=$(sshd_says) || { rm $DROP_IN && fail "sshd does not accept server/sshd.conf, so ssh stays as it was."; }
  while read -r rule; do
    grep -qixF "$rule" <<<"$says" || { rm $DROP_IN && fail "'$rule' would have no effect, so ssh stays as it was." \
      "At the top of /etc/ssh/sshd_config has to be: Include /etc/ssh/sshd_config.d/*.conf"; }
  done < <(grep '^[A-Z]' server/sshd.conf)
  if systemd "reload of sshd"; then systemctl try-reload-or-restart ssh; fi
  say ssh "keys only, never root: ssh $user@... Try it before you close this session"
}

# Docker's published ports do not pass ufw; of the stack only nginx has any. Its rules are here for whoever reads them.
raise_firewall() {
  local port ports
  ufw status >/dev/null 2>&1 || systemd ufw || return 0 # a container may have none
  ports=$(sshd_says | sed -n 's/^listenaddress .*:\([0-9]*\)$/\1/p'
    ss -Hltnp | awk '/"sshd"/ && $4 !~ /^(127\.|\[::1\])/ { sub(/.*:/, "", $4); print $4 }') # as it listens now
  [ -n "$ports" ] || fail "no port of sshd was found, so ufw stays as it was: without one nobody could log in."
  for port in $(sort -u <<<"$ports") 80 443; do ufw allow "$port/tcp" >/dev/null; done
  ufw allow 443/udp >/dev/null
  if systemd "ufw enable"; then ufw --force enable >/dev/null; fi
  say ufw "$(ufw show added | sed -n 's/^ufw allow //p' | xargs)"
}

make_swap() {
  if [ -n "$(swapon --noheadings --show)" ]; then say swap "kept" && return; fi
  systemd swap || return 0 # a container would change the host's
  { fallocate -l 2G $SWAP && chmod 600 $SWAP && mkswap $SWAP && swapon $SWAP; } >/dev/null ||
    { rm -f $SWAP && say skipped "swap: this disk takes no file of 2 GB for it" && return; }
  grep -q "^$SWAP " /etc/fstab || echo "$SWAP none swap sw 0 0" >>/etc/fstab
  say swap "2 GB"
}

# What somebody set there already stays as it is.
configure_docker() {
  local new said
  type -P dockerd >/dev/null || { say skipped "$DOCKER: there is no Docker Engine here" && return; }
  new=$({ cat $DOCKER 2>/dev/null || true; } | jq --slurp --slurpfile ours server/daemon.json 'add // {} | . as $theirs
    | $ours[0] | if ($theirs["log-driver"] // "json-file") == "json-file" then . else del(.["log-opts"]) end
    | . + $theirs')
  said=$(dockerd --validate --config-file <(echo "$new") 2>&1) || fail "$DOCKER stays as it was. $said" "$new"
  if put $DOCKER 644 <<<"$new" && systemd "restart of Docker"; then
    systemctl reload docker # live-restore comes first, or the restart would stop what runs
    systemctl restart docker
  fi
  say docker "$(jq --compact-output . $DOCKER)"
}

main() {
  local failed=''
  [ "$(id -u)" = 0 ] || fail "this changes the machine: sudo server/setup.sh"
  grep -qE '^ID=(debian|ubuntu)$' /etc/os-release || fail "this is for Debian and Ubuntu. By hand: docs/server.md"
  install_packages
  make_user
  give_keys
  secure_ssh
  raise_firewall
  if put /etc/apt/apt.conf.d/20auto-upgrades 644 <server/auto-upgrades; then say upgrades "each day, unattended"; fi
  if systemd "time synchronisation"; then timedatectl set-ntp true; fi
  make_swap
  sudo -Hu "$user" make --no-print-directory setup || failed=1
  configure_docker
  [ -z "$failed" ] || fail "make setup failed, as it says above. All else is done."
  say next "as $user: DOMAIN in $PWD/.env, docker compose -f compose.prod.yaml up -d, make check-server"
}
main "$@"; exit # on one line: `git pull` may replace this file while it runs
