import json
import logging
import multiprocessing
import subprocess
import sys
import threading
import time
import warnings

import pytest
from flask import g

from flagstone.config import ConfigError, load
from flagstone.extensions import db
from flagstone.log import SharedFileHandler, configure, redact
from tests.probe.items import ProbeItem

ID = "0123456789abcdef0123456789abcdef"
CANARY = "Qx7canary-Zk29.pL"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.fixture
def file(tmp_path):
    yield tmp_path / "app.log"
    configure(load({"APP_ENV": "Test"}))


@pytest.fixture
def json_app(make_app, file):
    return make_app(LOG_FORMAT="json", LOG_FILE=str(file), PROXY_HOPS="1")


@pytest.fixture
def lines(json_app, file):
    """What was logged since the app was made."""
    before = len(file.read_text())
    return lambda: parse(file.read_text()[before:])


def parse(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_is_one_json_object_with_the_fields_of_all_lines(lines):
    logging.getLogger("some.name").warning("two\nlines, %s", "an argument", extra={"task": "mail"})
    (line,) = lines()
    time = line.pop("time")
    assert line == {"level": "warning", "logger": "some.name", "message": "two\nlines, an argument", "task": "mail"}
    assert time.endswith("+00:00")
    assert time[10] == "T"


def log_as_user():
    """A view: after a commit a row forgets its columns, and to log must not ask the database for them."""
    g.user = ProbeItem(name="somebody", text="")
    db.session.add(g.user)
    db.session.commit()
    logging.getLogger(__name__).info("inside")
    return ""


def test_a_line_has_the_id_of_its_request_and_its_user(json_app, lines):
    json_app.add_url_rule("/log", view_func=log_as_user)
    json_app.test_client().get("/log", headers={"X-Request-ID": ID})
    logging.getLogger(__name__).info("outside")
    inside, outside = lines()[-2:]
    assert (inside["request_id"], inside["user"]) == (ID, "1")
    assert outside.keys() == {"time", "level", "logger", "message"}


def test_a_background_job_has_the_id_of_the_request_that_asked_for_it(json_app, lines):
    with json_app.app_context():
        g.request_id = ID
        logging.getLogger(__name__).info("in a job")
    assert lines()[-1]["request_id"] == ID


def test_the_user_is_sent_to_the_proxy_and_to_nobody_else(make_app):
    for hops, sent in (("1", "1"), ("0", None)):
        app = make_app(PROXY_HOPS=hops)
        app.add_url_rule("/log", view_func=log_as_user)
        assert app.test_client().get("/log").headers.get("X-User") == sent
        assert "X-User" not in app.test_client().get("/").headers


@pytest.mark.parametrize("path", ["/api/broken", "/broken"])
def test_an_exception_is_one_event_with_the_stack_inside(json_app, lines, path):
    json_app.add_url_rule(path, view_func=lambda: 1 / 0)
    json_app.test_client().get(f"{path}?password={CANARY}", headers={"X-Request-ID": ID})
    (line,) = lines()
    assert line["level"] == "error"
    assert line["request_id"] == ID
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("\nZeroDivisionError: division by zero")
    assert path in line["message"]
    assert CANARY not in str(line)


def test_what_nobody_caught_is_one_event_too(lines):
    for end in (lambda: 1 / 0, sys.exit):  # the latter is no fault
        thread = threading.Thread(target=end)
        thread.start()
        thread.join()
    sys.excepthook(ValueError, ValueError(f"token={CANARY}"), None)
    warnings.showwarning("old", DeprecationWarning, "file.py", 1)
    in_thread, in_process, warning = lines()
    assert "ZeroDivisionError" in in_thread["exception"]
    assert in_process["exception"] == "ValueError: token=[hidden]"
    assert "old" in warning["message"]


def test_a_command_that_fails_logs_one_event_and_no_traceback():
    script = "from app import create_app; app = create_app(); app.cli.command('fail')(lambda: 1 / 0); app.cli(['fail'])"
    environ = {"APP_ENV": "Test", "LOG_FORMAT": "json", "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["level"], last["message"]) == ("critical", "Uncaught exception")
    assert "ZeroDivisionError" in last["exception"]
    assert "Traceback" not in done.stderr


def test_development_reads_text(capsys):
    configure(load({"APP_ENV": "Dev"}))
    logging.getLogger("some.name").warning("for people, password=%s", CANARY)
    assert "WARNING [-] some.name: for people, password=[hidden]\n" in capsys.readouterr().out


def test_the_level_is_a_setting(make_app, file):
    make_app(LOG_FORMAT="json", LOG_LEVEL="warning", LOG_FILE=str(file))
    logging.getLogger(__name__).info("quiet")
    logging.getLogger(__name__).warning("loud")
    assert [line["message"] for line in parse(file.read_text())] == ["loud"]


@pytest.mark.parametrize(
    "text",
    [
        f"password={CANARY}",
        f"page?user=bob&password={CANARY}&next=/",
        f"next=%2Fpage%3Ftoken%3D{CANARY}",
        f"passwd: {CANARY}",
        f"db_password = '{CANARY} and more'",
        f'{{"user": "bob", "password": "{CANARY}"}}',
        f'{{\\"password\\": \\"{CANARY}\\"}}',
        f"{{'api-key': '{CANARY}'}}",
        f'b\'{{"secret": "{CANARY}"}}\'',
        f"ImmutableMultiDict([('password', '{CANARY}')])",
        f"{{'Authorization': 'Bearer {CANARY}'}}",
        f"Authorization: Bearer {CANARY}",
        f"authorization: basic {CANARY}",
        f"sent Bearer {CANARY}",
        f"Cookie: theme=dark; session={CANARY}; a={CANARY}",
        f"Set-Cookie: sid={CANARY}; HttpOnly",
        f"HTTP_COOKIE='a={CANARY}; b={CANARY}'",
        f"connection to postgresql://app:{CANARY}@db/app failed",
        f"redis://:{CANARY}@redis:6379/0",
        f"smtp://mail%40example.com:{CANARY}/{CANARY}@smtp",
        f"host=db password={CANARY} user=app",
        f"DETAIL:  Key (reset_token)=({CANARY}) already exists.",
        f"access_token={CANARY}",
        f"PRIVATE_KEY: {CANARY}",
        f"https://bucket/x?X-Amz-Signature={CANARY}",
        f"csrf_token='{CANARY}",
    ],
)
def test_a_secret_is_hidden_in_whatever_form(text):
    assert CANARY not in redact(text)
    assert "[hidden]" in redact(text)


def test_a_json_web_token_is_hidden_wherever_it_stands():
    assert redact(f"got {TOKEN}, refused") == "got [hidden], refused"


def test_the_rest_of_a_line_stays():
    text = 'GET /items?page=2&token=x&sort=a "user": "bob" postgresql://app:x@db:5432/app keys: 3, tokenize this'
    hidden = redact(text)
    for kept in ("page=2", "sort=a", "bob", "postgresql://app:", "@db:5432/app", "keys: 3", "tokenize this"):
        assert kept in hidden


def test_secrets_in_structures_are_hidden_by_their_name():
    given = {"user": "bob", "args": [{"password": CANARY, "n": 1}], "cookies": {"sid": CANARY}, "port": 5432}
    assert redact(given) == {
        "user": "bob",
        "args": [{"password": "[hidden]", "n": 1}],
        "cookies": "[hidden]",
        "port": 5432,
    }


def test_secrets_of_the_settings_are_hidden_even_without_a_name(make_app):
    make_app(SECRET_KEY=CANARY, DATABASE_URL=f"postgresql://app:{CANARY}-db@db/x", REDIS_PASSWORD=f"{CANARY}-redis")
    assert redact(f"KeyError: '{CANARY}'") == "KeyError: '[hidden]'"
    assert CANARY not in redact(f"{CANARY}-db {CANARY}-redis")


def seconds(text):
    """Of this process, however busy the machine is."""
    took = []
    for _ in range(3):
        began = time.thread_time()
        redact(text)
        took.append(time.thread_time() - began)
    return min(took)


@pytest.mark.parametrize("word", ["a", "password=", 'token="', "://x:", " "])
def test_a_line_that_a_stranger_made_long_costs_little(word):
    """In proportion to its length: what takes the square of it would take 256 times as long."""
    text = word * 2_500
    assert seconds(text * 16) < 64 * seconds(text)


def write_lines(path, writer):
    handler = SharedFileHandler(path, maxBytes=20_000, backupCount=100)
    for number in range(1000):
        handler.handle(logging.makeLogRecord({"msg": f"{writer} {number} {'x' * 50}"}))


def test_a_file_that_several_processes_rotate_loses_no_line(tmp_path):
    path = tmp_path / "app.log"
    start = multiprocessing.get_context("spawn").Process
    writers = [start(target=write_lines, args=(path, writer)) for writer in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(300)
        assert writer.exitcode == 0
    files = [file for file in tmp_path.iterdir() if file.suffix != ".lock"]
    written = [line.split()[:2] for file in files for line in file.read_text().splitlines()]
    assert sorted(written) == sorted([str(writer), str(number)] for writer in range(3) for number in range(1000))
    assert len(files) > 5
    assert all(file.stat().st_size < 30_000 for file in files)


def test_a_log_file_gets_the_same_lines_as_stdout(make_app, file, capsys):
    make_app(LOG_FORMAT="json", LOG_FILE=str(file))
    logging.getLogger(__name__).warning("token=%s", CANARY)
    assert file.read_text() == capsys.readouterr().out
    assert "[hidden]" in file.read_text()


def test_a_log_file_that_cannot_be_opened_is_a_fault_of_its_setting(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load({"APP_ENV": "Test", "LOG_FILE": str(tmp_path / "absent" / "app.log")})
    assert caught.value.faults == {"LOG_FILE": "expected a file that can be written (No such file or directory)"}


def test_without_an_address_nothing_of_sentry_is_imported():
    script = "import sys; from app import create_app; create_app(); sys.exit('sentry_sdk' in sys.modules)"
    environ = {"APP_ENV": "Test", "PATH": "/usr/bin"}
    assert subprocess.run([sys.executable, "-c", script], env=environ, timeout=120, check=False).returncode == 0


def test_gunicorns_master_loads_no_flask_for_its_settings_and_its_log():
    read = "from flagstone import config, log; log.configure(config.load())"
    script = f"import sys; {read}; sys.exit('flask' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], timeout=120, check=False)
    assert done.returncode == 0
