"""A release that is broken, and a deploy that is killed, leave the former release as it was."""

import time

import pytest

from tests.releases.load import under_load
from tests.releases.test_deploys import add_migration, change_code, release
from tests.shell import run

# Not as soon as a command loads it, for that would be found by its migrations.
EXITS = "    import os\n    assert 'FLASK_RUN_FROM_CLI' in os.environ\n"
UNWELL = "    app.add_url_rule('/health', 'unwell', lambda: ('', 503))\n"


def first(line):
    """Put it before the call of flagstone.init_app."""
    return lambda text: text.replace("    flagstone.init_app", f"{line}    flagstone.init_app")


HEALTHY_WITHIN = 60  # scripts/deploy.sh
# The step that finds it, and the change.
BROKEN = {
    "the disk is full while the image is built": (
        "images",
        "flagstone/Dockerfile",
        lambda text: f"{text}RUN echo more >/dev/full\n",
    ),
    "the image does not build": ("images", "app/packages.txt", lambda text: f"{text}no-such-package\n"),
    "the application exits at the start": ("healthy", "app/__init__.py", first(EXITS)),
    "its health stays bad": ("healthy", "app/__init__.py", first(UNWELL)),
    "the front page fails": (
        "healthy",
        "app/templates/index.html",
        lambda text: text.replace("<h1>", "{{ 1 / 0 }}<h1>"),
    ),
}


def reset(server, before):
    server.git("reset", "--quiet", "--hard", before)


@pytest.mark.long
@pytest.mark.parametrize("fault", BROKEN)
def test_where(server, fault):
    step, file, change = BROKEN[fault]
    before, serving, containers = server.git("rev-parse", "HEAD"), server.serving(), server.containers()
    server.edit(file, change)
    server.commit(fault)
    with under_load(server.stack) as load:
        began = time.monotonic()
        failed = server.script("deploy", check=False)
        took = time.monotonic() - began
    reset(server, before)
    assert failed.returncode != 0
    assert f'"{step}" failed' in failed.stderr
    assert f"{serving} goes on serving" in failed.stderr
    assert server.serving() == serving
    assert server.containers() == containers
    assert load.failed == []
    took -= sum(server.steps(failed.stdout).values())
    assert took < HEALTHY_WITHIN or fault == "its health stays bad", "only that can mend itself"


def test_where_the_migration_fails(server):
    before, serving = server.git("rev-parse", "HEAD"), server.serving()
    add_migration(server, 80)
    server.edit("app/migrations/versions/1080.py", lambda text: text.replace('"probe_item"', '"no_such_table"'))
    server.commit("broken migration")
    with under_load(server.stack) as load:
        failed = server.script("deploy", check=False)
    reset(server, before)
    assert '"migrated" failed' in failed.stderr, failed.stdout + server.stack.logs("migrate")
    assert "no_such_table" in failed.stderr
    assert server.serving() == serving
    assert load.failed == []


@pytest.mark.long
def test_where_the_disk_has_no_room_for_env_at_the_switch(server):
    """The symlink is moved once .env is written beside it: afterwards nothing can fail for want of room."""
    before, serving, containers = server.git("rev-parse", "HEAD"), server.serving(), server.containers()
    change_code(server, "full")
    server.commit("full")
    new = server.folder / ".env.new"
    new.symlink_to("/dev/full")
    with under_load(server.stack) as load:
        failed = server.script("deploy", check=False)
    new.unlink()
    reset(server, before)
    assert '"switched" failed' in failed.stderr
    assert "No space left on device" in failed.stderr
    assert f"{serving} goes on serving" in failed.stderr
    assert server.containers() == containers
    assert load.failed == []


@pytest.mark.long
def test_where_the_disk_has_no_room_for_static_files(server):
    """The step says so and fails; what is there stays whole, and no name has half a file."""
    image = server.stack.inspect("app")["Config"]["Image"]
    script = """
        ! RELEASE=x python -m flagstone.publish
        cd /srv/www && find . -type f ! -name '.*' -exec cmp {} /srv/static/{} ';' | { ! grep .; }
    """
    tmpfs = "/srv/www:size=16k,uid=10001,gid=10001"
    said = run("docker", "run", "--rm", "--tmpfs", tmpfs, image, "sh", "-euc", script)
    assert "No space left on device" in said.stderr
    assert "Traceback" not in said.stderr


STEPS = ("images", "migrated", "static", "started", "healthy", "switched", "drained", "edge", "workers")


@pytest.mark.long
@pytest.mark.parametrize("remedy", ["deploy", "up"])
@pytest.mark.parametrize("step", STEPS)
def test_one_that_was_killed_leaves_a_whole_state(server, step, remedy):
    change_code(server, f"{step} {remedy}")
    name = server.commit(f"killed after {step}")
    with under_load(server.stack) as load:
        server.deploy_until(step)
        if remedy == "deploy":
            server.deploy()
    if remedy == "up":  # it may have to stop what serves, so it is not asked to lose nothing
        server.stack.compose("up", "--detach", "--wait")
        server.stack.await_health("ok")
    else:
        assert server.serving() == name
        assert load.failed == []
    assert len(server.containers()) == 1


@pytest.mark.long
def test_after_all_of_that_a_release_is_a_release(server):
    release(server, change_code, 99)
