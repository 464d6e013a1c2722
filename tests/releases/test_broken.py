"""A release that is broken, and a deploy that is killed, leave the former release as it was."""

import pytest

from tests.releases.load import under_load
from tests.releases.test_deploys import add_migration, change_code, release

# Not as soon as a command loads it, for that would be found by its migrations.
EXITS = "    import os\n    assert 'FLASK_RUN_FROM_CLI' in os.environ\n"
UNWELL = "    app.add_url_rule('/health', 'unwell', lambda: ('', 503))\n"


def first(line):
    """Put it before the call of flagstone.init_app."""
    return lambda text: text.replace("    flagstone.init_app", f"{line}    flagstone.init_app")


# The step that finds it, and the change.
BROKEN = {
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


@pytest.mark.parametrize("fault", BROKEN)
def test_where(server, fault):
    step, file, change = BROKEN[fault]
    before, serving, containers = server.git("rev-parse", "HEAD"), server.serving(), server.containers()
    server.edit(file, change)
    server.commit(fault)
    with under_load(server.stack) as load:
        failed = server.script("deploy", check=False)
    reset(server, before)
    assert failed.returncode != 0
    assert f'"{step}" failed' in failed.stderr
    assert f"{serving} goes on serving" in failed.stderr
    assert server.serving() == serving
    assert server.containers() == containers
    assert load.failed == []


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


STEPS = ("images", "migrated", "static", "started", "healthy", "switched", "drained", "edge", "workers")


KILLED = [("started", "deploy"), ("switched", "deploy"), ("switched", "up")]
ALL = [(step, remedy) for step in STEPS for remedy in ("deploy", "up")]


@pytest.mark.parametrize(
    ("step", "remedy"), KILLED + [pytest.param(*case, marks=pytest.mark.long) for case in ALL if case not in KILLED]
)
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


def test_after_all_of_that_a_release_is_a_release(server):
    release(server, change_code, 99)
