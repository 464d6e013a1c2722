#!/bin/sh
# As root, hands /data to redis and becomes redis; options or a configuration file alone start the server.
set -e

case $1 in -* | *.conf) set -- redis-server "$@" ;; esac

# Without the right to change its user (cap_drop: ALL and no user:), it stays root, as the official one does.
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ] && setpriv --reuid=redis --regid=redis --clear-groups true 2>/dev/null; then
  find . ! -user redis -exec chown redis:redis {} +
  exec setpriv --reuid=redis --regid=redis --clear-groups "$0" "$@"
fi
umask 0077
exec "$@"
