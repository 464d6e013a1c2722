"""An edit shows at once, and no container leaves anything in the checkout."""

import re
import uuid
from pathlib import Path

import pytest

from tests.shell import docker, run
from tests.stack.conftest import TEST_ID, edited
from tests.wait import until

BROKEN_UPGRADE = "def upgrade() -> None:\n    raise RuntimeError('broken on purpose')\n"


@pytest.mark.parametrize(
    ("path", "old", "shown_at"),
    [
        ("app/templates/base.html", "</main>", "/"),
        ("app/static/style.css", "{", "/static/style.css"),
        ("app/public/hello-world.txt", "\n", "/hello-world.txt"),
    ],
)
def test_an_edited_file_shows_at_the_next_request(dev, path, old, shown_at):
    mark = f"mark-{uuid.uuid4().hex}"
    assert dev.site.get(shown_at).status == 200
    with edited(path, old, f"/*{mark}*/{old}"):
        until(lambda: mark in dev.site.get(shown_at).text)


def test_an_edited_view_shows_by_itself(dev):
    with edited("flagstone/health.py", '"/live"', '"/alive"'):
        until(lambda: dev.site.get("/health/alive").status == 200)
    until(lambda: dev.site.get("/health/live").status == 200)


def test_no_connection_is_kept_that_a_reload_would_wait_for(dev):
    def established():
        sockets = [line.split() for line in dev.exec("app", "cat", "/proc/net/tcp").splitlines()]
        return [socket for socket in sockets if socket[1].endswith(":1F40") and socket[3] == "01"]

    assert dev.site.get("/").status == 200
    until(lambda: not established(), within=2)  # nginx would keep one for five seconds


def test_an_edit_that_fails_at_import_is_shown_and_the_next_one_mends_it(dev):
    started = dev.inspect("app")["State"]["StartedAt"]
    with edited("flagstone/health.py", '"""', 'undefined_name\n"""'):
        until(lambda: "undefined_name" in dev.site.get("/health/live").text)
    until(lambda: dev.site.get("/health/live").status == 200)
    assert dev.inspect("app")["State"]["StartedAt"] == started


def test_no_container_can_write_into_the_checkout(dev):
    for service in dev.services():
        mounts = [mount for mount in dev.inspect(service)["Mounts"] if mount["Type"] == "bind"]
        assert not any(mount["RW"] for mount in mounts), service


def test_a_migration_belongs_to_the_person_who_asked_for_it(dev):
    extra = "class Extra(db.Model):\n    id = db.Column(db.Integer, primary_key=True)\n\n\n"
    with edited("app/items.py", "class ProbeItem", f"{extra}class ProbeItem"):
        run("scripts/migration.sh", "add extra", COMPOSE_PROJECT_NAME=dev.project, **dev.environment)
    (written,) = Path("app/migrations/versions").glob("*_add_extra.py")
    try:
        assert "create_table('extra'" in written.read_text().replace('"', "'")
        assert written.stat().st_uid == Path("app").stat().st_uid
    finally:
        written.unlink()


HEAD = """revision, down_revision = "{}", "{}"
branch_labels = depends_on = None
def upgrade() -> None: ...
def downgrade() -> None: ...
"""


def test_two_branches_that_made_a_migration_each_are_told_how_to_merge_them(dev):
    folder, (head,) = Path("app/migrations/versions"), heads(dev)
    written, app = [folder / f"branch_{name}.py" for name in "ab"], dev.inspect("app")["Id"]
    try:
        for file in written:
            file.write_text(HEAD.format(file.stem, head))
        refused = dev.once("migrate")
        assert refused.returncode != 0
        assert "branch_a" in refused.stdout
        assert "branch_b" in refused.stdout
        assert "make migration m=merge" in refused.stdout
        assert (dev.inspect("app")["Id"], dev.site.get("/health").status) == (app, 200)
        run("make", "migration", "m=merge", COMPOSE_PROJECT_NAME=dev.project, **dev.environment)
        written += folder.glob("*_merge.py")
        assert len(heads(dev)) == 1
    finally:
        for file in written:
            file.unlink(missing_ok=True)


def heads(dev):
    listed = dev.once("migrate", "flask", "db", "heads").stdout
    return re.findall(r"^(\w+) \(head\)", listed, re.MULTILINE)


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "cron"])
@pytest.mark.parametrize(
    ("task", "script", "said", "status"),
    [
        ("psql", "SELECT 6 * 7 AS answer;", "42", 0),
        ("psql", "SELECT 1 / 0; SELECT 6 * 7;", "division by zero", 2),
        ("shell", "for i in range(2):\n    pass\nprint(app.name, g and 6 * 7)", "app 42", 0),
        ("shell", "print(40 + 2)\n1 / 0\nprint('not reached')", "ZeroDivisionError", 2),
    ],
)
def test_a_script_runs_by_make_and_its_failure_is_one(dev, tmp_path, terminal, task, script, said, status):
    (tmp_path / "script").write_text(script)
    command = f"make {task} <{tmp_path}/script"
    # script(1) makes a terminal for whatever it runs; of its input and output only the latter leads there.
    command = (
        ("script", "--quiet", "--return", "--command", command, "/dev/null") if terminal else ("sh", "-c", command)
    )
    ran = run(*command, check=False, COMPOSE_PROJECT_NAME=dev.project, **dev.environment)
    assert said in ran.stdout + ran.stderr
    assert "not reached" not in ran.stdout
    assert ran.returncode == status


def test_a_failing_migration_keeps_the_app_from_starting_and_says_why():
    environment = {"COMPOSE_PROJECT_NAME": f"{TEST_ID}-broken", "DEV_PORT": "0"}
    try:
        with edited("app/migrations/versions/0001_items.py", "def upgrade() -> None:", BROKEN_UPGRADE):
            result = run("scripts/up.sh", check=False, timeout=300, **environment)
        assert result.returncode == 1
        assert "broken on purpose" in result.stderr
        assert docker("compose", "ps", "--quiet", "--status", "running", "app", **environment) == ""
    finally:
        docker("compose", "down", "--volumes", "--timeout", "2", **environment)


def test_make_up_names_the_port_that_is_taken_and_who_holds_it():
    project = f"{TEST_ID}-taken"
    docker("run", "--detach", "--name", f"{project}-holder", "--publish", "127.0.0.1::6379", "redis:8")
    port = docker("port", f"{project}-holder", "6379").rpartition(":")[2]
    environment = {"COMPOSE_PROJECT_NAME": project, "DEV_PORT": port}
    try:
        result = run("scripts/up.sh", check=False, timeout=300, **environment)
        assert result.returncode == 1
        last = result.stderr.splitlines()[-1]
        assert f"port {port} is taken by the container {project}-holder" in last
        assert "DEV_PORT" in last
    finally:
        docker("compose", "down", "--volumes", "--timeout", "2", **environment)
        docker("rm", "--force", "--volumes", f"{project}-holder")
