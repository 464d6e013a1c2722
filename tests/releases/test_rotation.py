"""Each secret gets another value under load, and no request fails; killed half-way, it is brought to its end."""

import re

import pytest

from tests.long import long_but
from tests.releases.load import under_load
from tests.shell import docker, run
from tests.stack.test_roles import ask

SECRETS = ("postgres", "redis", "secret_key")
SERIALIZER = "from flagstone.wsgi import app; s = app.session_interface.get_signing_serializer(app); print(s.{})"


def rotate(server, secret, **options):
    return run(
        "make", "-C", str(server.folder), "rotate", f"secret={secret}", timeout=300, **server.environment, **options
    )


def values(server):
    """By file; and the one whose turn it is."""
    files = (server.folder / "secrets").iterdir()
    return {file.name: file.read_text() for file in files}


def in_use(server, name):
    env = (server.folder / ".env").read_text()
    turn = re.findall(rf"^{name.upper()}_TURN=(.*)$", env, re.MULTILINE)
    return f"{name}_password{turn[-1] if turn else ''}"


def flask_of(server, call):
    (app,) = server.containers()
    return docker("exec", app, "python", "-c", SERIALIZER.format(call)).splitlines()[-1]


def redis_takes(server, password):
    call = (
        "docker",
        "exec",
        "--env",
        f"REDISCLI_AUTH={password}",
        server.stack.container("redis"),
        "redis-cli",
        "ping",
    )
    return run(*call, check=False).stdout.strip() == "PONG"


def database_takes(server, role, password):
    return ask(server.stack, role, "SELECT 1", password=password).returncode == 0


@pytest.mark.parametrize("secret", long_but(["postgres"], SECRETS))
def test_no_request_is_lost_by_a_rotation(server, secret):
    before, session = values(server), flask_of(server, "dumps({'user': 1})")
    with under_load(server.stack) as load:
        said = rotate(server, secret)
    print(secret, f"{len(load.failed)} of {load.total} failed", said.stdout)
    assert load.failed == [], f"{len(load.failed)} of {load.total}"
    load.check_rows()
    after = values(server)
    changed = {name for name in after if after[name] != before[name]}
    pairs = {"secret_key": {"secret_key", "secret_key_former"}}
    assert changed == pairs.get(secret, {f"{secret}_password", f"{secret}_password_b"})
    secrets = {value for values in (before, after) for value in values.values()}
    assert not any(value and value in said.stdout + said.stderr for value in secrets)
    assert flask_of(server, f"loads('{session}')") == "{'user': 1}"


@pytest.mark.long
def test_what_was_before_opens_nothing_any_more(server):
    before = values(server)
    for secret in ("postgres", "redis", "postgres_backup", "postgres_monitor"):
        rotate(server, secret)
    after = values(server)
    for name in ("redis_password", "redis_password_b"):
        assert (redis_takes(server, before[name]), redis_takes(server, after[name])) == (False, True)
    files = {"app": "postgres_password", "app_b": "postgres_password_b", "monitor": "postgres_monitor_password"}
    for role, name in files.items():
        assert (database_takes(server, role, before[name]), database_takes(server, role, after[name])) == (False, True)
    # A restart finds all of it, and a plain `up -d` nothing to do.
    containers = server.containers()
    docker("restart", server.stack.container("redis"), server.stack.container("db"))
    server.stack.compose("up", "--detach", "--wait")
    server.stack.await_health("ok")
    assert server.containers() == containers


@pytest.mark.long
def test_a_session_outlives_two_rotations_of_the_key(server):
    session = flask_of(server, "dumps({'user': 1})")
    rotate(server, "secret_key")
    rotate(server, "secret_key")
    assert flask_of(server, f"loads('{session}')") == "{'user': 1}"


STEPS = [("postgres", "turn"), ("postgres", "switched"), ("postgres", "renewed"), ("postgres", "serves")]
STEPS += [("redis", word) for _, word in STEPS]


@pytest.mark.long
@pytest.mark.parametrize(("secret", "word"), STEPS)
def test_one_that_was_killed_is_ended_by_the_next(server, secret, word):
    former = values(server)[in_use(server, secret)], in_use(server, secret)
    with under_load(server.stack) as load:
        server.kill_after(word, "rotate.sh", secret, locks={"rotate.lock": 120, "lock": 120})
        if word != "turn":
            rotate(server, secret)
    assert load.failed == [], f"{len(load.failed)} of {load.total}"
    if word == "turn":  # a plain `up -d` passes to what is in .env; requests get lost by that
        server.stack.compose("up", "--detach", "--wait")
        server.stack.await_health("ok")
        rotate(server, secret)
    assert in_use(server, secret) != former[1], "the one rotation, and no second one"
    assert former[0] not in values(server).values()
    server.stack.compose("up", "--detach", "--wait")
    server.stack.await_health("ok")


def test_what_is_elsewhere_or_unknown_is_not_rotated(server):
    script = str(server.folder / "scripts/rotate.sh")
    unknown = run(script, "nothing", check=False, **server.environment)
    assert (unknown.returncode, "one of: postgres" in unknown.stderr) == (1, True)
    elsewhere = run(script, "redis", check=False, **server.environment, REDIS_URL="redis://elsewhere/0")
    assert (elsewhere.returncode, "REDIS_URL" in elsewhere.stderr) == (1, True)
