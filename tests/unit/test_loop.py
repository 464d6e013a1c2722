"""What computes for long, and what else a process does meanwhile: each in one of its own, which gevent patches."""

import json
import subprocess
import sys

import pytest

PATCHED = "from gevent import monkey; monkey.patch_all()\n"
# A heartbeat, and the longest time that it had to wait.
BEAT = """
import gevent, json, time
gaps = []
def beat():
    while True:
        before = time.monotonic()
        gevent.sleep(0.005)
        gaps.append(time.monotonic() - before)
gevent.spawn(beat)
"""
LOGINS = """
from app import create_app
from flagstone.config import load
app = create_app(load({"APP_ENV": "Test", "LOG_LEVEL": "error"}))
def log_in(_):
    answer = app.test_client().post("/api/token", json={"email": "nobody@example.test", "password": "x"})
    return answer.status_code, int(answer.headers.get("Retry-After", 0))
"""


def run(code, tmp_path):
    environment = {"APP_ENV": "Test", "UPLOAD_FOLDER": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


HASHES = """
from gevent.pool import Pool
from flagstone import loop
loop.WAITING = 4
log_in(0)  # a hash of nobody, and all that is loaded late
started = time.monotonic()
log_in(0)
alone = time.monotonic() - started
gaps.clear()
print(json.dumps([alone, Pool(7).map(log_in, range(7)), max(gaps)]))
"""


def test_a_crowd_of_logins_holds_nobody_up_and_some_of_it_are_told_to_come_again(tmp_path):
    alone, answers, gap = json.loads(run(PATCHED + BEAT + LOGINS + HASHES, tmp_path))
    assert [status for status, _ in answers].count(401) == 4
    pauses = [pause for status, pause in answers if status == 503]
    assert len(pauses) == 3
    assert 3 <= min(pauses) <= max(pauses) <= 10
    assert gap < alone / 2, "or hashes run in the loop"


def test_no_connection_waits_with_a_hash(tmp_path):
    """Or a crowd of logins would take the pool from everybody else."""
    code = """
from app.auth import passwords
from flagstone.extensions import db
with app.test_request_context():
    held = []
    def verify(*_):
        held.append(db.engine.pool.checkedout())
        return False
    passwords.verify = verify
    from app.auth.model import authenticate
    authenticate({"email": "a@example.test", "password": "x"})
print(held)
"""
    settings = f'"DATABASE_URL": "sqlite:///{tmp_path}/db", '
    logins = LOGINS.replace('{"APP_ENV"', "{" + settings + '"APP_ENV"')
    code = "from flagstone.extensions import db\nwith app.app_context(): db.create_all()\n" + code
    assert run(logins + code, tmp_path).splitlines()[-1] == "[0]"


WATCHED = """
import logging, sys
from flagstone import loop, log
from flagstone.config import load
log.configure(load({"APP_ENV": "Test", "LOG_FORMAT": "json"}))
loop.Watchdog()
def compute(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
"""


@pytest.mark.parametrize(
    "busy", ["compute(0.4)", "[gevent.spawn(compute, 0.03) for _ in range(10)]"], ids=["one", "many in a row"]
)
def test_who_holds_the_loop_is_in_the_log_with_its_stack(tmp_path, busy):
    said = run(f"{PATCHED}{BEAT}{WATCHED}gevent.sleep(0.2)\n{busy}\ngevent.sleep(0.3)\n", tmp_path)
    line = next(json.loads(line) for line in said.splitlines() if "The event loop was held for" in line)
    assert "in compute" in line["message"]
    assert "in compute" in line["stack"]


def test_who_holds_it_for_less_than_the_limit_or_waits_is_not(tmp_path):
    busy = "loop.LIMIT = 5\ncompute(0.4)\ntime.sleep(0.4)"  # 5 s, because the machine may be busy
    assert "was held" not in run(f"{PATCHED}{BEAT}{WATCHED}{busy}\ngevent.sleep(0.3)\n", tmp_path)
