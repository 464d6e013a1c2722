# `make` alone lists the tasks. What a task does is one line here, or one script.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
certbot := docker compose -f compose.prod.yaml exec certbot python3

##@ Develop
up: setup ## Start the development site, and return when it is healthy
	@scripts/up.sh
down: ## Stop it; data stays
	@docker compose down --remove-orphans
logs: ## Follow what all containers say
	@docker compose logs --follow --tail 50
ps: ## Show the state of the containers
	@docker compose ps --all
migration: ## Write a migration from the models: make migration m="add tags"
	@scripts/migration.sh "$(m)"

##@ Check
test: ## Run every test, on stacks of its own: make test, or make test t="tests/stack -k redirect"
	@tests/run.sh pytest $(t)
lint: ## Check Dockerfiles, compose files, nginx configuration, shell and Python
	@tests/run.sh tests/lint.sh

##@ Certificate
cert-status: ## Show it: names, expiry, served and on disk, last error, next check
	@$(certbot) /opt/flagstone/status.py
cert-dry-run: ## Try a renewal at the authority's test server; keeps nothing
	@$(certbot) /opt/flagstone/renew.py --dry-run
cert-now: ## Look whether one is due now, instead of waiting
	@$(certbot) /opt/flagstone/renew.py --now

##@ Keep
setup: ## Make this machine ready: Docker, .env, secrets, base images
	@scripts/setup.sh
lock: ## Resolve requirements.in anew into requirements.txt, with hashes
	@scripts/lock.sh
help:
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: up down logs ps migration test lint cert-status cert-dry-run cert-now setup lock help
