#!/usr/bin/env bash
# A new value for one secret, and no request is refused meanwhile: scripts/rotate.sh SECRET. docs/database.md
# Killed at whatever step, it leaves what a plain `up -d` starts with; run once more, it ends what it began.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
export COMPOSE_FILE=compose.prod.yaml

whole() { # new containers of the application would take these along
  ! differs db redis || fail "db or redis would be replaced, for their image or their settings changed, and requests be lost." \
    "Deploy first, at a time that suits: make deploy"
}

# Of two values, both of which its server takes, the containers of the application have one, by a variable in .env. The
# other is made anew, then the application passes to it, then the former one is made anew.
take_turns() { # postgres | redis, the setting that would say it is elsewhere
  local variable=${1^^}_TURN goal under_way=releases/rotate-$1
  [ -z "$(setting "$2")" ] || fail "$2 is set in .env: what it leads to has its own way to change a password." \
    "Then put it into secrets/$1_password, and scripts/deploy.sh restart"
  whole
  if [ ! -e "$under_way" ]; then
    if [ "$(setting "$variable")" = _b ]; then goal=''; else goal=_b; fi
    echo "$goal" >"$under_way.new"
    mv "$under_way.new" "$under_way"
  fi
  goal=$(cat "$under_way")
  if [ "$(setting "$variable")" != "$goal" ]; then
    renew "$1" "$1_password$goal"
    (lock "rotate $1" && remember "$variable" "$goal")
    say turn "$variable=$goal"
  fi
  scripts/deploy.sh restart
  renew "$1" "$1_password$([ -n "$goal" ] || echo _b)"
  rm "$under_way"
}

# In place: the server's container has this very file. In one write over the old value, so that it is never empty.
renew() { # whose, file in secrets/
  chmod u+w "secrets/$2"
  random_secret | dd of="secrets/$2" conv=notrunc status=none
  chmod 444 "secrets/$2"
  said=$("tell_$1" 2>&1) || fail "$said"
  say renewed "secrets/$2"
}
read_again() { # an exporter of the profile `monitoring`: it reads its password when it starts
  [[ ,$(setting COMPOSE_PROFILES), != *,monitoring,* ]] || docker compose up --detach --no-deps --force-recreate "$1"
}
tell_postgres() { scripts/db-roles.sh; }
tell_redis() { # the hashes of all that is in its files; connections that are open stay so
  # shellcheck disable=SC2016 # the container's shell
  docker compose exec --no-TTY --env TURN="$(setting REDIS_TURN)" redis sh -euc '
    REDISCLI_AUTH=$(tr -d "\r\n" </run/secrets/redis_password$TURN)
    export REDISCLI_AUTH
    for file in /run/secrets/redis_*; do set -- "$@" "#$(tr -d "\r\n" <"$file" | sha256sum | cut -c1-64)"; done
    redis-cli ACL SETUSER default resetpass "$@" | grep -qx OK' redis || fail "redis did not take its new password"
}

# Sessions that the two keys before have signed stay good. Each file is replaced whole, and in each state between the two
# no key is missing: containers that run keep the files that they have.
secret_key() {
  whole
  put secret_key_former <<<"$(cat secrets/secret_key),$(cut -d, -f1 secrets/secret_key_former)"
  random_secret | put secret_key
  scripts/deploy.sh restart
}
put() { # file in secrets/
  (umask 077 && cat >"secrets/$1.new")
  chmod 444 "secrets/$1.new"
  mv "secrets/$1.new" "secrets/$1"
  say renewed "secrets/$1"
}

mkdir -p releases
exec 8>>releases/rotate.lock
flock --nonblock 8 || fail "another one is at work"
case ${1:-} in
  postgres) take_turns postgres DATABASE_URL ;;
  postgres_backup) renew postgres postgres_backup_password ;;
  postgres_monitor)
    renew postgres postgres_monitor_password
    read_again postgres-exporter ;;
  redis)
    take_turns redis REDIS_URL
    read_again redis-exporter ;;
  secret_key) secret_key ;;
  *) # the application's own
    own=$(sed -n 's/^\([a-z_]*\)-rotate:.*/\1/p' app/tasks.mk 2>/dev/null) || true
    grep -qxF -- "${1:-}" <<<"$own" ||
      fail "make rotate secret=NAME, one of: postgres postgres_backup postgres_monitor redis secret_key $(xargs <<<"$own")"
    make --no-print-directory "$1-rotate" ;;
esac
