# shellcheck shell=bash
# What several scripts say and do in the same way; each reads this at its beginning.

say() { printf '%-9s %s\n' "$1" "$2"; }
fail() { printf "$(basename "$0" .sh): %s\n" "$@" >&2; exit 1; }

root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n1)" = "$2" ]; }

setting() { # NAME [default]: from the environment or .env, as Compose looks for it
  local value=${!1:-}
  [ -n "$value" ] || value=$(sed -n "s/^$1=//p" .env | tail -n1)
  echo "${value:-${2:-}}"
}
remember() { # name value: in .env, by one rename
  write_env "$@"
  mv .env.new .env
}
write_env() { # name value: .env.new, as .env with this value
  awk -v name="$1" 'index($0, name "=") != 1' .env >.env.new
  echo "$1=$2" >>.env.new
  chmod --reference .env .env.new
}

# Whether an `up` would put another container in the place of one of them: its image or its settings changed.
differs() { [[ $(docker compose --dry-run up --detach --no-deps --no-build "$@" 2>&1) = *Recreate* ]]; } # services...

random_secret() {
  local characters
  characters=$(head -c 96 /dev/urandom | base64 | tr -d '+/=\n')
  printf %s "${characters:0:64}"
}

# One step: what it is called, and what it runs. A line when it is done, with its seconds; what it said, when it fails.
# A statement of its own, never in a condition or before && or ||: bash ignores `set -e` there, in all that is called.
step() { # name command...
  local began=${EPOCHREALTIME/[.,]/} failed tenths
  # shellcheck disable=SC2034 # what undo() tells
  STEP=$1
  set +e
  (set -e && "${@:2}") >releases/said 2>&1
  failed=$?
  set -e
  [ "$failed" = 0 ] || { tail -n 20 releases/said >&2 && exit 1; }
  tenths=$(((${EPOCHREALTIME/[.,]/} - began) / 100000))
  say "$1" "$((tenths / 10)).$((tenths % 10)) s"
}

lock() { # what for
  mkdir -p releases
  exec 9>>releases/lock
  flock --nonblock 9 || fail "another one is at work: $(cat releases/lock)" "It ends by itself, and with it the lock."
  echo "$(who) since $(date '+%F %T'), $1" >releases/lock
}
who() { echo "${DEPLOY_BY:-${SUDO_USER:-$(id -un)}}${SSH_CLIENT:+ from ${SSH_CLIENT%% *}}"; }

major_of() { # image of PostgreSQL
  docker image inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$1" | sed -n 's/^PG_MAJOR=//p'
}
