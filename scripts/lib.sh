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
