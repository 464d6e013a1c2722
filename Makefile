# `make` alone lists the tasks. What a task does is one line here, or one script.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
compose := docker compose$(if $(prod), -f compose.prod.yaml)
# Where a file, a pipe or cron is at the other end, no terminal is asked for.
tty := $(shell [ -t 0 ] || echo --no-TTY)
certbot := docker compose -f compose.prod.yaml exec $(tty) certbot python3
# `flask shell` reads as a person types: blank lines end blocks, and an error is none.
script := import sys; from flagstone.wsgi import app; app.app_context().push(); \
  exec(compile(sys.stdin.read(), "stdin", "exec"), app.make_shell_context())

##@ Develop
up: ## Start the development site, and return when it is healthy
	@scripts/setup.sh development
	@scripts/up.sh
down: ## Stop it; data stays
	@docker compose down --remove-orphans
logs: ## Follow what all containers say
	@docker compose logs --follow --tail 50
ps: ## Show the state of the containers
	@docker compose ps --all
migration: ## Write a migration from the models: make migration m="add tags"
	@scripts/migration.sh "$(m)"

shell: ## A Python shell inside the application, or make shell <script.py (prod=1 on the server)
	@$(compose) exec $(if $(tty),$(tty) app python -c '$(script)',app flask shell)
psql: ## A SQL shell as the application's role, or make psql <script.sql (prod=1 on the server)
	@$(compose) exec $(tty) db psql --set ON_ERROR_STOP=1 --username app app

##@ Check
parallel := --numprocesses 4 --dist loadgroup --no-loadscope-reorder
test: ## Test each promise, on stacks of its own: make test, or make test t="tests/stack -k redirect"
	@tests/run.sh pytest $(or $(t),$(parallel))
test-all: ## Also break, kill, fill and crowd whatever can be, as a fork's CI does each night: an hour
	@tests/run.sh pytest -m '' $(parallel)
bench: ## Serve one application by this stack and by others' recipes, in turn: make bench, or make bench rounds=5 only=flagstone
	@tests/run.sh python -m bench.run $(foreach option,rounds seconds only,$(if $($(option)),$(option)=$($(option))))
	@sed -i.bak -e '/^<!-- bench -->/,/^<!-- end -->/{//!d;}' -e '/^<!-- bench -->/r artifacts/bench.md' docs/performance.md
	@rm docs/performance.md.bak
bench-parts: ## Take parts of this stack away, one at a time, to see what each costs: make bench-parts rounds=5
	@tests/run.sh python -m bench.parts $(foreach option,rounds seconds,$(if $($(option)),$(option)=$($(option))))
load: ## Let visitors come faster and faster, to see where this site bends: make load path=/articles
	@tests/run.sh python -m bench.saturation $(foreach option,path seconds,$(if $($(option)),$(option)=$($(option))))
lint: ## Check Dockerfiles, compose files, nginx configuration, shell and Python
	@tests/run.sh tests/lint.sh

##@ Release, on the server
deploy: ## Bring the commit that is checked out, or RELEASE=v1.2.0, and lose no request; force=1 with changes of your own
	@scripts/deploy.sh deploy $(RELEASE)
rollback: ## Go back to the release before, or to=a1b2c3d4e5f6, without a build
	@scripts/deploy.sh rollback $(to)
releases: ## What was deployed when, what serves, and what is kept for a rollback
	@scripts/deploy.sh releases
maintenance: ## Close the site to all but MAINTENANCE_ALLOW, or open it again: make maintenance on, make maintenance off
	@scripts/maintenance.sh $(filter on off,$(MAKECMDGOALS))
on off:
	@:

check-server: ## What this server lacks, with the remedy of each; address=203.0.113.5 is its public one, behind NAT
	@address=$(address) server/check.sh

##@ Several machines, on a manager of a Swarm
stack: ## Write stack.yaml, what compose.prod.yaml is there
	@swarm/stack.sh stack
stack-deploy: ## Bring the commit that is checked out, or RELEASE=v1.2.0: its images are pulled from IMAGE_REGISTRY
	@swarm/stack.sh deploy

##@ Certificate
cert-status: ## Show it: names, expiry, served and on disk, last error, next check
	@$(certbot) /opt/flagstone/status.py
cert-dry-run: ## Try a renewal at the authority's test server; keeps nothing
	@$(certbot) /opt/flagstone/renew.py --dry-run
cert-now: ## Look whether one is due now, instead of waiting
	@$(certbot) /opt/flagstone/renew.py --now

##@ Backup, on the server
backup: ## Make one now, beside those that are made by the clock
	@scripts/backup.sh backup
backups: ## List them: when, how large, how old, and which points in time
	@scripts/backup.sh backups
restore: ## The latest, or at="2026-11-24 12:34:56+00", into new volumes, which then take the place of what runs; yes=1 asks nothing
	@scripts/backup.sh restore "$(at)"
restore-drill: ## Restore the latest beside what runs, check it, compare, and remove it
	@scripts/backup.sh drill

##@ Keep
update: ## Bring the latest release of the template, or another one: make update to=1.2.0; template=ADDRESS says where it is
	@template=$(template) scripts/update.sh $(to)
setup: ## Make this machine ready: Docker, .env, secrets, base images
	@scripts/setup.sh
rotate: ## On the server: a new value for one secret, and no request refused: make rotate secret=postgres
	@scripts/rotate.sh $(secret)
postgres-upgrade: ## On the server: bring the data to the PostgreSQL that compose.prod.yaml names; the old cluster stays
	@scripts/postgres-upgrade.sh
db-roles: ## Give the roles of the database what db/roles.sql says, also in an older volume (prod=1 on the server)
	@$(if $(prod),COMPOSE_FILE=compose.prod.yaml) scripts/db-roles.sh
lock: ## Lock requirements.in in requirements.txt, with hashes: what is locked stays; upgrade=1 takes the latest of all
	@scripts/lock.sh $(if $(upgrade),--upgrade)
help:
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Of the application; and `make init`, until it has run.
-include app/tasks.mk starter/tasks.mk

.PHONY: up down logs ps migration shell psql test test-all bench bench-parts load lint deploy rollback releases maintenance on off check-server
.PHONY: backup backups restore restore-drill stack stack-deploy
.PHONY: cert-status cert-dry-run cert-now update setup rotate postgres-upgrade db-roles lock help
