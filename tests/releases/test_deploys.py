"""A release loses no request: under load, with migrations, changed static files and slow requests; and back again."""

import re
import threading

import pytest

from tests.images.test_registry import REGISTRY, build_registry
from tests.releases.load import under_load
from tests.shell import docker, run
from tests.wait import until

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{down}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("probe_item", sa.Column("{revision}", sa.Text))


def downgrade() -> None:
    op.drop_column("probe_item", "{revision}")
"""


def change_code(server, number):
    server.edit("app/views.py", lambda text: f"{text}\n# {number}\n")


def change_static_files(server, number):
    server.edit("app/static/style.css", lambda text: f"{text}\n.n{number} {{ color: red }}\n")


def add_migration(server, number):
    versions = server.folder / "app/migrations/versions"
    down = re.search(r'revision = "(.*)"', sorted(versions.glob("*.py"))[-1].read_text())[1]
    text = MIGRATION.format(revision=f"added{number}", down=down)
    server.edit(f"app/migrations/versions/1{number:03}.py", lambda _: text)


def release(server, change, number):
    change(server, number)
    name = server.commit(f"{change.__name__} {number}")
    said = server.deploy().stdout
    assert server.serving() == name
    assert len(server.containers()) == 1
    return server.steps(said)


def roll_back(server):
    before = server.serving()
    steps = server.steps(server.script("rollback").stdout)
    assert server.serving() != before
    assert "images" not in steps
    return steps


def check(load, at_least):
    assert load.failed == [], f"{len(load.failed)} of {load.total}: {load.failed[:20]}"
    assert load.total >= at_least
    load.check_rows()


def test_no_request_is_lost_by_two_releases_and_a_way_back(server):
    with under_load(server.stack) as load:
        for number, change in enumerate((add_migration, change_static_files)):
            print(release(server, change, number))
        print(roll_back(server))
    check(load, at_least=700)
    # What is there now is what a plain `up -d` would make: it replaces nothing.
    before = server.containers()
    server.stack.compose("up", "--detach", "--wait")
    assert server.containers() == before


@pytest.mark.long
def test_no_request_is_lost_by_twenty_releases_and_five_ways_back(server):
    slow = []

    def ask_slowly():
        slow.append(server.stack.site.get("/wait?seconds=20").status)

    with under_load(server.stack) as load:
        for number in range(20, 40):
            change = {25: add_migration, 30: change_static_files, 35: add_migration}.get(number, change_code)
            visitor = threading.Thread(target=ask_slowly)
            if number == 28:
                visitor.start()
            print(change.__name__, release(server, change, number))
            if number == 28:
                visitor.join()
            if number % 4 == 3:
                print("rollback", roll_back(server))
    check(load, at_least=10_000)
    assert slow == [200]


@pytest.mark.long
def test_an_older_release_serves_on_a_newer_database(server):
    """After a rollback, by a plain `up -d`, too: its migrations find the database ahead, and go on."""
    release(server, add_migration, 50)
    said = server.script("rollback").stdout
    assert "added50" in said.split("stays")[1]
    server.stack.compose("up", "--detach", "--wait")
    assert "ahead of this release" in server.stack.logs("migrate")
    assert server.stack.site.post_json("/api/items", {"name": "older", "text": ""}).status == 201


@pytest.fixture
def registry():
    """What IMAGE_REGISTRY is for one of our own. Docker needs no TLS for it, because it is on loopback."""
    name = image = build_registry()
    settings = REGISTRY.replace("127.0.0.1", "")
    serve = ("sh", "-c", f"echo '{settings}' >/registry.yml; exec docker-registry serve /registry.yml")
    docker("run", "--detach", "--name", name, "--user=0", "--publish=127.0.0.1::5000", image, *serve)
    try:
        address = docker("port", name, "5000")
        until(lambda: run("docker", "exec", name, "curl", "--fail", "--silent", "http://127.0.0.1:5000/v2/"))
        yield f"{address}/shop"
    finally:
        docker("rm", "--force", "--volumes", name)
        docker("rmi", image)


@pytest.mark.long
def test_what_was_built_elsewhere_is_pulled_and_nothing_is_built(server, registry):
    """As docs/deploy.md has it for CI."""
    change_code(server, 65)
    name = server.commit("by the registry")
    own = ("app", "nginx", "certbot", "backup")
    elsewhere = {"IMAGE_REGISTRY": registry, "RELEASE": name}
    server.stack.compose("build", "--quiet", *own, **elsewhere)
    server.stack.compose("push", "--quiet", *own, **elsewhere)
    docker("rmi", *docker("images", "--format", "{{.Repository}}:{{.Tag}}", f"{registry}/*").split())
    server.deploy(IMAGE_REGISTRY=registry)
    assert server.serving() == name
    image = server.stack.inspect("app")["Config"]["Image"]
    assert image.startswith(registry)
    assert registry in docker("image", "inspect", "--format", "{{.RepoDigests}}", image), "it was not pulled"
    release(server, change_code, 66)


def test_a_second_deploy_is_told_who_is_at_work_and_all_are_listed(server):
    change_code(server, 70)
    server.commit("slow")
    lock = server.folder / "releases/lock"
    lock.write_text("")  # it has the words of the deploy before
    first = threading.Thread(target=server.deploy)
    first.start()
    try:
        until(lambda: "since" in lock.read_text(), what="the first one has the lock")
        second = server.script("deploy", check=False)
        assert second.returncode == 1
        assert "another one is at work" in second.stderr
        assert re.search(r" since \d{4}-", second.stderr)
    finally:
        first.join()
    said = server.script("releases").stdout
    assert re.search(rf"^serves +{server.serving()}$", said, re.MULTILINE)
    kept = re.findall(r"^kept +(\S+)$", said, re.MULTILINE)
    assert 1 <= len(kept) <= 4, "RELEASES_KEPT"


def test_changes_that_no_commit_has_are_not_deployed_unasked(server):
    before = server.serving()
    server.edit("app/views.py", lambda text: f"{text}\n# by hand\n")
    refused = server.script("deploy", check=False)
    assert refused.returncode == 1
    assert "force=1" in refused.stderr
    assert server.serving() == before
    run("git", "-C", str(server.folder), "checkout", "--quiet", ".")
