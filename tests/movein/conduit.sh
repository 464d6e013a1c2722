#!/usr/bin/env bash
# Moves conduit in: run in a fresh checkout, as a person would type it. A JSON API with SQLAlchemy and tokens, for pages
# of another origin; a package of another name, whose factory is in a module of it.
set -euo pipefail
cd "$(dirname "$0")/../.."
from=tests/movein/conduit

rm -r app
cp -R $from/conduit app
cp -R $from/migrations app/
find app -name '*.py' -exec perl -pi -e 's/^(\s*)(from|import) conduit\b/$1$2 app/' {} +
echo 'from app.app import create_app  # noqa: F401 - what the platform looks for' >>app/__init__.py
# For SQLAlchemy 2.1 a plain postgresql:// means psycopg, and this application has psycopg2.
perl -pi -e 's|(os.environ.get\("DATABASE_URL".*?\))|$1.replace("postgresql://", "postgresql+psycopg2://")|' app/settings.py
cat >>app/settings.py <<'PYTHON'


class Settings(BaseConfig):
    """Of the platform: flagstone/config.py."""

    CORS_ORIGINS: list[str] = Config.CORS_ORIGIN_WHITELIST  # their pages may write
PYTHON
perl -pi -e 's/^(import os)$/$1\n/; s/^(from datetime import timedelta)$/$1\n\nfrom flagstone.config import BaseConfig/' app/settings.py

cat >app/services.yaml <<'YAML'
# What this application changes of the services in compose.prod.yaml. docs/your-app.md
x-app: &app
  environment:
    JWT_SECRET_KEY_FILE: /run/secrets/jwt_secret_key
    WITHOUT: background,cors,mail,uploads # CORS it does itself; the others need Celery, and tables of the platform
  volumes: # `make setup` makes what is missing in secrets/
    - type: bind
      source: ../secrets/jwt_secret_key
      target: /run/secrets/jwt_secret_key
      read_only: true
      bind: { create_host_path: false }

services:
  nginx:
    extends: { file: ../nginx/services.yaml, service: "tls-${TLS:-on}" }
  app: *app
  migrate:
    <<: *app
    extends: { file: ../flagstone/services.yaml, service: migrate }
  worker:
    deploy: { replicas: 0 }
  beat:
    deploy: { replicas: 0 }
YAML
mkdir app/nginx app/public app/static
cat >app/nginx/login-addresses.conf <<'CONF'
/api/users        1;
/api/users/login  1;
CONF
echo 'PROJECT_NAME=conduit' >app/.env.example
echo 'exclude = ["*"]' >app/ruff.toml # its style is its own
touch app/packages.txt app/public/.gitkeep app/static/.gitkeep

{ printf -- '-c ../flagstone/requirements.txt\n-c ../tests/requirements.txt\n' && cat $from/requirements/prod.txt; } >app/requirements.in
cp tests/movein/conduit.txt app/requirements.txt # where there is no lock yet, the latest versions are taken
make lock
