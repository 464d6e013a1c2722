#!/usr/bin/env bash
# Moves flaskr in: run in a fresh checkout, as a person would type it. No ORM: its SQLite file goes to a volume.
set -euo pipefail
cd "$(dirname "$0")/../.."
from=tests/movein/flaskr

rm -r app
cp -R $from/flaskr app
perl -pi -e 's/^(\s*)(from|import) flaskr\b/$1$2 app/' app/*.py

cat >app/services.yaml <<'YAML'
# What this application changes of the services in compose.prod.yaml. docs/your-app.md
x-app: &app
  environment:
    WITHOUT: background,mail,uploads # what needs Celery, and tables of the platform
  volumes: ["uploads:/srv/instance"] # app.instance_path: flaskr.sqlite

services:
  nginx:
    extends: { file: ../nginx/services.yaml, service: "tls-${TLS:-on}" }
  app: *app
  migrate: # `init-db` begins anew each time
    <<: *app
    command: [sh, -c, test -e instance/flaskr.sqlite || exec flask init-db]
  worker:
    deploy: { replicas: 0 }
  beat:
    deploy: { replicas: 0 }
YAML
mkdir app/nginx app/public
cat >app/nginx/login-addresses.conf <<'CONF'
/auth/login     1;
/auth/register  1;
CONF
echo 'PROJECT_NAME=flaskr' >app/.env.example
echo 'exclude = ["*"]' >app/ruff.toml # its style is its own
touch app/packages.txt app/public/.gitkeep

printf -- '-c ../flagstone/requirements.txt\n-c ../tests/requirements.txt\nflask\n' >app/requirements.in
cp tests/movein/flaskr.txt app/requirements.txt # where there is no lock yet, the latest versions are taken
make lock
