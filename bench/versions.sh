#!/bin/sh
# Of what is compared here, a line each.
pip list --format freeze | grep -iE '^(flask|gunicorn|gevent|granian)=' | sed 's/==/ /'
echo "uWSGI $(uwsgi --version)"
apache2 -v | sed -n 's|.*Apache/\([0-9.]*\).*|Apache \1|p'
caddy version | sed 's/^v\?\([^ ]*\).*/Caddy \1/'
nginx -v 2>&1 | sed 's|.*nginx/|nginx |; s/ .*(.*//'
python --version
