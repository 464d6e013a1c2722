"""flagstone/, the platform, in an application that is not ours: what it gives to one that knows nothing of it."""

import ast
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from celery import Celery
from flask import Flask, abort, g
from flask_sqlalchemy import SQLAlchemy
from werkzeug.exceptions import HTTPException, UnprocessableEntity

import flagstone
from flagstone import log
from flagstone.config import OPTIONAL, load
from flagstone.database import engine


@pytest.fixture
def make_other(tmp_path):
    """An application in a folder of its own, with these templates, which does this `before`; returns it."""

    def make(before=lambda other: None, environ=None, **templates):
        folder = tmp_path / "templates"
        folder.mkdir(exist_ok=True)
        for name, text in templates.items():
            (folder / f"{name}.html").write_text(text)
        other = Flask("other", root_path=str(tmp_path))
        before(other)
        flagstone.init_app(
            other, load({"APP_ENV": "Test", "UPLOAD_FOLDER": str(tmp_path / "uploads"), **(environ or {})})
        )
        other.add_url_rule("/gone", view_func=lambda: abort(410, "This has moved away."), endpoint="gone")
        other.add_url_rule("/api/gone", view_func=lambda: abort(410), endpoint="api_gone")
        return other

    return make


@pytest.mark.parametrize("file", [*Path("flagstone").rglob("*.py")], ids=str)
def test_nothing_of_it_imports_the_application(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.module.partition(".")[0] != "app"
        elif isinstance(node, ast.Import):
            assert "app" not in [name.name.partition(".")[0] for name in node.names]


def test_one_call_gives_an_application_health_metrics_and_error_pages(make_other):
    client = make_other().test_client()
    assert client.get("/health").json == {"status": "ok", "database": "ok", "cache": "ok", "release": "unknown"}
    assert "flask_http_request" in client.get("/metrics").text
    answer = client.get("/gone")
    assert answer.status_code == 410
    assert "This has moved away." in answer.text
    assert answer.headers["X-Request-ID"] in answer.text
    assert client.get("/api/gone").json["error"]["status"] == 410


def test_what_a_library_finds_wrong_with_fields_is_told(make_other):
    other = make_other()

    @other.get("/api/search")
    def search():
        error = UnprocessableEntity()
        error.data = {"messages": {"query": {"page": ["Not a valid integer."]}}}  # as webargs does
        raise error

    error = other.test_client().get("/api/search").json["error"]
    assert (error["status"], error["fields"]) == (422, {"query": {"page": ["Not a valid integer."]}})


def test_its_own_error_page_is_the_one_that_is_shown(make_other):
    assert make_other(error="{{ error.code }}, in our words").test_client().get("/gone").text == "410, in our words"


@pytest.mark.parametrize("broken", ["{% extends 'no-base.html' %}", "{{ url_for('nowhere') }}", "{% oops"])
def test_where_its_error_page_fails_there_still_is_one(make_other, caplog, broken):
    answer = make_other(error=broken).test_client().get("/gone")
    assert answer.status_code == 410
    assert "This has moved away." in answer.text
    assert "error page cannot be shown" in caplog.text


ANYTHING = {"a row of another library": {"id": 1}, "a name": "somebody", "an object": object(), "an id": 7}


@pytest.mark.parametrize("user", [*ANYTHING.values()], ids=ANYTHING)
def test_a_user_in_g_that_is_no_row_harms_nothing(make_other, user):
    other = make_other()

    @other.get("/user")
    def show():
        g.user = user
        other.logger.info("seen")
        return "shown"

    assert other.test_client().get("/user").text == "shown"


def test_a_log_line_is_written_when_nobody_knows_what_it_belongs_to(capsys):
    def fail():
        raise LookupError

    log.configure(load({"APP_ENV": "Test"}), fail)
    try:
        logging.getLogger("any").warning("still here")
    finally:
        log.configure(load({"APP_ENV": "Test"}))
    assert "still here" in capsys.readouterr().out


def test_its_own_sqlalchemy_is_the_one_that_is_asked(make_other, tmp_path):
    db = SQLAlchemy()

    def before(other):
        other.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/own.db"
        db.init_app(other)

    other = make_other(before)
    other.add_url_rule("/broken", view_func=lambda: str(db.session.execute(sqlalchemy.text("SELECT * FROM nowhere"))))
    with other.app_context():
        assert engine() is db.engine
    assert other.test_client().get("/health").json["database"] == "ok"
    assert other.test_client().get("/broken").status_code == 500


def test_its_own_error_handlers_stay(make_other):
    def before(other):
        other.register_error_handler(404, lambda _: ("none of ours", 404))
        other.register_error_handler(HTTPException, lambda error: (f"own {error.code}", error.code))

    client = make_other(before).test_client()
    assert client.get("/nowhere").text == "none of ours"
    assert client.get("/gone").text == "own 410"


def test_its_own_handler_of_any_error_stays(make_other):
    def before(other):
        other.register_error_handler(Exception, lambda error: (f"own {error}", 418))

    assert make_other(before).test_client().get("/gone").status_code == 418


def test_what_it_logs_to_the_terminal_by_itself_is_there_once(make_other, capsys):
    def before(other):
        other.logger.addHandler(logging.StreamHandler())

    other = make_other(before)
    try:
        log.configure(load({"APP_ENV": "Test"}))
        other.logger.error("once")
        captured = capsys.readouterr()
        assert (captured.out + captured.err).count("once") == 1
    finally:
        log.configure(load({"APP_ENV": "Test"}))


def test_its_own_metrics_stay(make_other):
    def before(other):
        other.add_url_rule("/metrics", endpoint="prometheus_metrics", view_func=lambda: "its own")

    assert make_other(before).test_client().get("/metrics").text == "its own"


def test_its_own_health_page_and_celery_stay(make_other):
    queue = Celery("other")

    def before(other):
        other.add_url_rule("/health", view_func=lambda: "I am well", endpoint="health")
        other.extensions["celery"] = queue

    other = make_other(before)
    assert other.extensions["celery"] is queue
    assert other.test_client().get("/health").text == "I am well"
    assert other.test_client().get("/health/live").json == {"status": "ok"}, "what Docker asks"


def test_what_it_has_set_itself_stays_unless_the_environment_says_otherwise(make_other):
    def before(other):
        other.config.update(MAX_CONTENT_LENGTH=123, SECRET_KEY="dev", SESSION_COOKIE_SAMESITE="Strict")

    config = make_other(before, {"SECRET_KEY": "from the environment"}).config
    assert (config["MAX_CONTENT_LENGTH"], config["SESSION_COOKIE_SAMESITE"]) == (123, "Strict")
    assert config["SECRET_KEY"] == "from the environment"
    assert config["DATABASE_POOL_SIZE"] == 30, "and it has the defaults of what it does not know"


@pytest.mark.parametrize("part", OPTIONAL)
def test_it_can_do_without_each_part(make_other, part):
    client = make_other(environ={"WITHOUT": part}).test_client()
    assert client.get("/health/live").status_code == 200
    assert client.get("/health").json["status"] == "ok"
    assert client.get("/gone").status_code == 410
    assert (client.post("/gone", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 405) == (part == "csrf")
    assert (client.get("/metrics").status_code == 404) == (part == "metrics")


def test_an_application_that_knows_nothing_of_the_platform_is_put_on_it(tmp_path):
    """By flagstone/wsgi.py, which APP_MODULE tells where it is."""
    (tmp_path / "shop.py").write_text(
        "import os\n"
        "from flask import Flask\n"
        "def make(prefix):\n"
        "    app = Flask('shop')\n"
        "    app.config['SECRET_KEY'] = os.environ['SECRET_KEY']\n"
        "    app.add_url_rule('/', view_func=lambda: prefix + app.config['SECRET_KEY'])\n"
        "    return app\n"
    )
    asked = "from flagstone.wsgi import app; c = app.test_client(); print(c.get('/').text, c.get('/health/live').json)"
    environ = {"APP_MODULE": "shop:make('key: ')", "APP_ENV": "Test", "SECRET_KEY": "given"}
    environ |= {"PYTHONPATH": f"{tmp_path}:.", "UPLOAD_FOLDER": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", asked], env=environ, capture_output=True, text=True)
    assert result.stdout == "key: given {'status': 'ok'}\n", result.stderr


def test_whether_a_hook_is_asynchronous_is_asked_once_and_not_by_each_request(make_other):
    other = make_other()
    other.test_client().get("/health/live")
    asked = other.ensure_sync.cache_info().misses
    other.test_client().get("/health/live")
    assert other.ensure_sync.cache_info().misses == asked > 0
