"""A container that is recreated, killed or restarted comes back, and the site with it."""

from pathlib import Path

import pytest

from tests.long import long_but
from tests.shell import docker
from tests.stack.conftest import edited, kill
from tests.stack.test_uploads import upload
from tests.wait import until


def test_a_recreated_app_is_found_at_its_new_address(stack):
    """nginx asks DNS again: a plain proxy_pass would answer 502 until somebody reloads it."""
    old, nginx = stack.address("app", "web"), stack.inspect("nginx")["State"]["StartedAt"]
    stack.compose("rm", "--stop", "--force", "app")
    squatter = f"{stack.project}-squatter"  # takes the old address, so that the app must come back at another
    docker("run", "--detach", "--name", squatter, "--network", f"{stack.project}_web", "redis:8")
    try:
        stack.compose("up", "--detach", "--wait", "--no-deps", "app")
        assert stack.address("app", "web") != old
        until(lambda: stack.site.get("/").status == 200)
        assert stack.inspect("nginx")["State"]["StartedAt"] == nginx
    finally:
        docker("rm", "--force", "--volumes", squatter)


SERVICES = ["app", "worker", "beat", "nginx", "redis", "db", "certbot"]


@pytest.mark.parametrize("service", long_but(["app", "db"], SERVICES))
def test_a_crashed_container_comes_back_by_itself(prod, service):
    """Its first process dies as by the kernel's out-of-memory killer."""
    kept = prod.site.post_json("/api/items", {"name": f"before {service} crashed"}).json["id"]
    state = prod.inspect(service)["State"]
    kill("KILL", state["Pid"])
    until(lambda: prod.inspect(service)["State"]["StartedAt"] != state["StartedAt"])
    prod.await_healthy(service)
    prod.await_health("ok")
    assert prod.site.get(f"/api/items/{kept}").status == 200


@pytest.mark.parametrize("service", long_but(["nginx"], SERVICES))
def test_after_docker_kill_one_up_brings_it_back(prod, service):
    """Docker takes `docker kill` for a stop by hand, and restarts nothing until it is told to."""
    docker("kill", prod.container(service))
    prod.compose("up", "--detach", "--wait")
    prod.await_health("ok")


@pytest.mark.parametrize("service", long_but(["app"], ["nginx", "app", "db"]))
def test_after_a_forced_recreation_the_site_is_back(prod, service):
    prod.compose("up", "--detach", "--wait", "--force-recreate", "--no-deps", service)
    prod.await_health("ok")


def test_a_restart_of_everything_at_once_comes_back(prod):
    prod.compose("restart", "--timeout", "10")
    prod.await_healthy(*SERVICES)
    prod.await_health("ok")


def test_a_deploy_whose_migration_fails_leaves_the_running_application_alone(prod):
    """The commands of the README; `up` alone would stop the old application first."""
    app = prod.inspect("app")["Id"]
    try:
        with edited("app/migrations/env.py", "from", "raise RuntimeError('broken on purpose')\nfrom"):
            prod.compose("build")
        failed = prod.once("migrate")
        assert failed.returncode == 1
        assert "broken on purpose" in failed.stdout
        assert prod.site.get("/health").status == 200
        assert prod.inspect("app")["Id"] == app
    finally:
        prod.compose("build")
    assert prod.once("migrate").returncode == 0


@pytest.fixture
def elsewhere(prod):
    """A Redis and a database that are not the stack's own, where the network leads that leads to the world."""
    redis, database = f"{prod.project}-redis-elsewhere", f"{prod.project}-db-elsewhere"
    start = ("run", "--detach", "--network", f"{prod.project}_web", "--name")
    password = Path("secrets/postgres_password").read_text()
    try:
        docker(*start, redis, "redis:8", "redis-server", "--requirepass", Path("secrets/redis_password").read_text())
        settings = ("--user", "999:999", "--env", "POSTGRES_USER=app", "--env", f"POSTGRES_PASSWORD={password}")
        docker(*start, database, *settings, "postgres:18")
        yield {"REDIS_URL": f"redis://{redis}:6379/0", "DATABASE_URL": f"postgresql://app@{database}/app"}
    finally:
        docker("rm", "--force", "--volumes", redis, database)


def test_a_managed_redis_and_database_are_reached_by_all_that_use_them(prod, elsewhere):
    migrated = prod.once("migrate", environment=elsewhere)
    assert migrated.returncode == 0, migrated.stdout
    ask = "flask wait-for-database --limit 1 && celery --app flagstone.beat call flagstone.uploads.settle"
    for service in ("app", "worker"):
        asked = prod.once(service, "sh", "-c", ask, environment=elsewhere)
        assert asked.returncode == 0, (service, asked.stdout)
    asked = prod.once(
        "beat", "celery", "--app", "flagstone.beat", "call", "flagstone.uploads.settle", environment=elsewhere
    )
    assert asked.returncode == 0, asked.stderr


def test_rows_and_files_outlive_down_and_up(stack):
    kept = upload(stack.site, "kept.txt", b"kept").json["id"]
    stack.down()
    stack.up()
    assert stack.site.get(f"/api/items/{kept}").json["name"] == "With a file"
    assert stack.site.get(f"/items/{kept}/file").body == b"kept"


def test_a_second_up_changes_nothing(stack):
    before = stack.compose("ps", "--all", "--quiet")
    stack.compose("up", "--detach", "--wait")
    assert stack.compose("ps", "--all", "--quiet") == before
