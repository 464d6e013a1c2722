#!/bin/sh
# One recipe, as tutorials and the servers' own manuals have it: recipes.sh NAME
set -eu
http="proxy_pass http://127.0.0.1:8000"
workers=$(($(nproc) * 2 + 1)) # gunicorn's and uWSGI's advice

behind_nginx() { # the directive that hands a request on
  sed "s|@pass@|$1|" nginx.conf >/etc/nginx/nginx.conf
  nginx
}

case $1 in
  gunicorn-sync) behind_nginx "$http" && exec gunicorn --workers "$workers" app:app ;;
  gunicorn-gthread) behind_nginx "$http" && exec gunicorn --workers "$workers" --threads 8 app:app ;;
  gunicorn-gevent) behind_nginx "$http" && exec gunicorn --workers "$workers" --worker-class gevent app:app ;;
  granian) behind_nginx "$http" && exec granian --interface wsgi --workers "$(nproc)" --no-access-log app:app ;;
  uwsgi)
    behind_nginx "uwsgi_pass 127.0.0.1:8000"
    exec uwsgi --plugin python3 --master --processes "$workers" --threads 8 --enable-threads --lazy-apps \
      --socket 127.0.0.1:8000 --pythonpath "$PYTHONPATH" --module app:app --disable-logging --die-on-term
    ;;
  caddy)
    gunicorn --workers "$workers" --threads 8 --daemon app:app
    exec caddy run --config Caddyfile --adapter caddyfile
    ;;
  mod-wsgi)
    cp apache.conf /etc/apache2/apache2.conf
    WORKERS=$workers exec apache2 -DFOREGROUND
    ;;
esac
