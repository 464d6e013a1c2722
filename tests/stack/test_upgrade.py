"""The next PostgreSQL: a new cluster has all that the old one had; what fails on the way leaves the old one serving.

An image has one major version, and where there is no other one, the next is the same with another number.
"""

import os
import re
import subprocess

import pytest

from tests.conftest import copy_with_probe
from tests.shell import docker, run
from tests.stack.conftest import DOMAIN, TEST_ID, edited, production
from tests.stack.test_former_volumes import OWNED, READER
from tests.stack.test_roles import ask
from tests.wait import until

pytestmark = pytest.mark.long

IDENTIFIER = "SELECT system_identifier FROM pg_control_system()"
IMAGE = f"{TEST_ID}-postgres"


@pytest.fixture(scope="module")
def site():
    """One with data, that has just been given a release with the next PostgreSQL."""
    folder = copy_with_probe("upgrade")
    env = folder / ".env"
    env.write_text(re.sub("^DOMAIN=.*$", f"DOMAIN={DOMAIN}", env.read_text(), flags=re.MULTILINE))
    docker("tag", "postgres:18", f"{IMAGE}:18")
    docker("create", "--name", f"{IMAGE}-next", "postgres:18")
    changes = ("ENV PG_MAJOR=19", "ENV PGDATA=/var/lib/postgresql/19/docker")
    docker("commit", *(f"--change={change}" for change in changes), f"{IMAGE}-next", f"{IMAGE}:19")
    docker("rm", "--volumes", f"{IMAGE}-next")
    compose = folder / "compose.prod.yaml"
    compose.write_text(compose.read_text().replace("image: postgres:18", f"image: {IMAGE}:18"))
    with production("upgrade", folder=folder) as stack:
        del stack.environment["DOMAIN"]  # as on a server: .env has it
        stack.sql(READER)
        made = ask(stack, "app", OWNED)
        assert made.returncode == 0, made.stderr
        with edited(compose, f"{IMAGE}:18", f"{IMAGE}:19"):
            yield stack


def script(stack, *command):
    environment = {**stack.environment, "COMPOSE_PROJECT_NAME": stack.project}
    return run(str(stack.folder / "scripts" / command[0]), *command[1:], check=False, timeout=300, **environment)


def kill_upgrade(stack, word):
    """As soon as it has said so; its two servers must not outlive it by much."""
    environment = {**os.environ, **stack.environment, "COMPOSE_PROJECT_NAME": stack.project}
    command = [stack.folder / "scripts/postgres-upgrade.sh"]
    upgrade = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    for line in upgrade.stdout:
        if line.startswith(word):
            upgrade.kill()
            break
    assert upgrade.wait(timeout=60) == -9
    until(lambda: not docker("ps", "--quiet", f"--filter=volume={stack.project}_db"))


def write(stack, name):
    assert stack.site.post_json("/api/items", {"name": name, "text": ""}).status == 201


def written(stack):
    return stack.sql("SELECT name FROM probe_item ORDER BY id").split()


def test_a_deploy_leaves_the_database_as_it_is(site):
    git = ("git", "-C", str(site.folder), "-c", "user.name=tests", "-c", "user.email=tests@example.test")
    run(*git, "init", "--quiet")
    run(*git, "add", "--all")
    run(*git, "commit", "--quiet", "--message", "The next PostgreSQL")
    refused = script(site, "deploy.sh", "deploy")
    assert (refused.returncode, "make postgres-upgrade" in refused.stderr) == (1, True)
    write(site, "deployed")


def test_what_fails_is_undone(site):
    """Here the comparison: what this view has differs by server."""
    site.sql("CREATE MATERIALIZED VIEW tells AS SELECT system_identifier FROM pg_control_system()")
    before = site.sql(IDENTIFIER)
    try:
        failed = script(site, "postgres-upgrade.sh")
        assert failed.returncode == 1
        assert re.search(r"^< tells\|1\|", failed.stderr, re.MULTILINE), failed.stderr
        assert "The database is as it was, and the site is open" in failed.stderr
        site.await_health("ok")
        write(site, "undone")
        assert site.sql(IDENTIFIER) == before
    finally:
        site.sql("DROP MATERIALIZED VIEW tells")


def test_all_of_it_is_in_the_new_cluster_and_there_is_a_way_back(site):
    write(site, "before")
    before, rows = site.sql(IDENTIFIER), written(site)
    kill_upgrade(site, "copied")
    done = script(site, "postgres-upgrade.sh")
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    site.await_health("ok")
    assert site.sql("SHOW data_directory") == "/var/lib/postgresql/19/docker"
    assert site.sql(IDENTIFIER) != before
    assert written(site) == rows
    assert site.sql("SELECT count(*), sum(n), max(word) FROM rows") == "1000|500500|word 999"
    assert site.sql("INSERT INTO rows (word) VALUES ('next') RETURNING id, n").startswith("1001|1001")
    assert "permission denied" in ask(site, "app", "SELECT pg_read_file('/etc/passwd')").stderr
    write(site, "after")
    nothing = script(site, "postgres-upgrade.sh")
    assert (nothing.returncode, "nothing to do" in nothing.stderr) == (1, True)
    with edited(site.folder / "compose.prod.yaml", f"{IMAGE}:19", f"{IMAGE}:18"):
        site.compose("up", "--detach", "--wait")
        site.await_health("ok")
        assert (site.sql(IDENTIFIER), written(site)) == (before, rows)
