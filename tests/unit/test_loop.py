"""What computes for long, and what else a process does meanwhile: each in one of its own, which gevent patches."""

import json
import subprocess
import sys

import pytest

PATCHED = "from gevent import monkey; monkey.patch_all()\n"
# How often the loop had time for something else.
BEAT = """
import gevent, itertools, json
beats = itertools.count()
def beat():
    while True:
        gevent.sleep(0.005)
        next(beats)
gevent.spawn(beat)
"""


def run(code, tmp_path, **options):
    environment = {"APP_ENV": "Test", "UPLOAD_FOLDER": str(tmp_path)}
    options = {"env": environment, "capture_output": True, "text": True, "timeout": 120, **options}
    done = subprocess.run([sys.executable, "-c", code], **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


HASHES = """
import hashlib
from gevent.pool import Pool
from werkzeug.exceptions import ServiceUnavailable
from flagstone import loop
loop.WAITING = 4
def make_hash(_):
    try:
        loop.beside(hashlib.pbkdf2_hmac, "sha256", b"x", b"y", 500_000)
        return 200, 0
    except ServiceUnavailable as error:
        return 503, error.retry_after
make_hash(0)  # and all that is loaded late
before = next(beats)
print(json.dumps([Pool(7).map(make_hash, range(7)), next(beats) - before - 1]))
"""


def test_a_crowd_that_computes_holds_nobody_up_and_some_of_it_are_told_to_come_again(tmp_path):
    answers, beats = json.loads(run(PATCHED + BEAT + HASHES, tmp_path))
    assert_held_nobody_up(answers, beats, done=200)


def assert_held_nobody_up(answers, beats, done):
    assert [status for status, _ in answers].count(done) == 4
    pauses = [pause for status, pause in answers if status == 503]
    assert len(pauses) == 3
    assert 3 <= min(pauses) <= max(pauses) <= 10
    assert beats > 2 * len(answers), "in the loop it would leave time between two of them only"


WATCHED = """
import logging, sys, time
from flagstone import loop, log
from flagstone.config import load
log.configure(load({"APP_ENV": "Test", "LOG_FORMAT": "json"}))
watchdog = loop.Watchdog()
def compute(seconds, seen=True):  # or until the watchdog has seen it, for the machine may be busy
    until = time.monotonic() + seconds
    while time.monotonic() < until or not (seen or watchdog.stack or time.monotonic() > until + 30):
        pass
"""


@pytest.mark.parametrize(
    "busy",
    ["compute(0.4, seen=False)", "[gevent.spawn(compute, 0.03, seen=number < 9) for number in range(10)]"],
    ids=["one", "many in a row"],
)
def test_who_holds_the_loop_is_in_the_log_with_its_stack(tmp_path, busy):
    said = run(f"{PATCHED}{BEAT}{WATCHED}gevent.sleep(0.2)\n{busy}\ngevent.sleep(0.3)\n", tmp_path)
    lines = [json.loads(line) for line in said.splitlines() if "The event loop was held for" in line]
    # A machine that stands still is in the log, too.
    assert any("in compute" in line["message"] and "in compute" in line["stack"] for line in lines), lines


def test_who_holds_it_for_less_than_the_limit_or_waits_is_not(tmp_path):
    busy = "loop.LIMIT = 5\ncompute(0.4)\ntime.sleep(0.4)"  # 5 s, because the machine may be busy
    assert "was held" not in run(f"{PATCHED}{BEAT}{WATCHED}{busy}\ngevent.sleep(0.3)\n", tmp_path)
