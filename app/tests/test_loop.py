"""What a crowd of logins leaves to everybody else: time, and connections to the database."""

import json

from tests.conftest import ROOT
from tests.unit.test_loop import BEAT, PATCHED, assert_held_nobody_up, run

LOGINS = """
from app import create_app
from flagstone.config import load
app = create_app(load({"APP_ENV": "Test", "LOG_LEVEL": "error"}))
def log_in(_):
    answer = app.test_client().post("/api/token", json={"email": "nobody@example.test", "password": "x"})
    return answer.status_code, int(answer.headers.get("Retry-After", 0))
"""
HASHES = """
from gevent.pool import Pool
from flagstone import loop
loop.WAITING = 4
log_in(0)  # a hash of nobody, and all that is loaded late
before = next(beats)
print(json.dumps([Pool(7).map(log_in, range(7)), next(beats) - before - 1]))
"""


def test_a_crowd_of_logins_holds_nobody_up_and_some_of_it_are_told_to_come_again(tmp_path):
    answers, beats = json.loads(run(PATCHED + BEAT + LOGINS + HASHES, tmp_path, cwd=ROOT))
    assert_held_nobody_up(answers, beats, done=401)


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
    assert run(logins + code, tmp_path, cwd=ROOT).splitlines()[-1] == "[0]"
