#!/usr/bin/env bash
# Moves the blog in: run in a fresh checkout, as a person would type it. An `app` package with SQLAlchemy, Flask-Login,
# Flask-WTF and RQ. What stood beside the package goes into it: the image has nothing else.
set -euo pipefail
cd "$(dirname "$0")/../.."
from=tests/movein/blog

rm -r app
cp -R $from/app app
cp -R $from/config.py $from/migrations app/
perl -pi -e 's/^from config\b/from app.config/' app/__init__.py
# For SQLAlchemy 2.1 a plain postgresql:// means psycopg, and this application has psycopg2.
perl -pi -e 's|"postgres://", "postgresql://"|"postgresql://", "postgresql+psycopg2://"|' app/config.py

cat >app/services.yaml <<'YAML'
# What this application changes of the services in compose.prod.yaml. docs/your-app.md
x-app: &app
  environment:
    LOG_TO_STDOUT: 1 # no container can write a folder logs/
    WITHOUT: background,mail,uploads # what needs Celery, and tables of the platform

services:
  nginx:
    extends: { file: ../nginx/services.yaml, service: "tls-${TLS:-on}" }
  app: *app
  migrate:
    <<: *app
    extends: { file: ../flagstone/services.yaml, service: migrate }
  worker:
    <<: *app
    command: [python, -m, flagstone.environment, sh, -c, export RQ_REDIS_URL="$$REDIS_URL" && exec rq worker blog-tasks]
    healthcheck: # it is registered in Redis by its host
      test: [CMD-SHELL, "python -m flagstone.environment sh -c 'RQ_REDIS_URL=$$REDIS_URL rq info -W' | grep -q $$(hostname)"]
      interval: 30s
      timeout: 10s
      start_period: 30s
      start_interval: 2s
  beat:
    deploy: { replicas: 0 }
YAML
mkdir app/nginx app/public
cat >app/nginx/login-addresses.conf <<'CONF'
/auth/login     1;
/auth/register  1;
CONF
echo 'PROJECT_NAME=blog' >app/.env.example
echo 'exclude = ["*"]' >app/ruff.toml # its style is its own
touch app/packages.txt app/public/.gitkeep

{ printf -- '-c ../flagstone/requirements.txt\n-c ../tests/requirements.txt\n' && cat $from/requirements.txt; } >app/requirements.in
cp tests/movein/blog.txt app/requirements.txt # where there is no lock yet, the latest versions are taken
make lock
