"""flagstone/, the platform, in an application that is not ours: what it gives to one that knows nothing of it."""

import ast
import logging
from pathlib import Path

import pytest
from flask import Flask, abort, g
from werkzeug.exceptions import UnprocessableEntity

import flagstone
from flagstone.config import load


@pytest.fixture
def make_other(tmp_path):
    """An application in a folder of its own, with these templates; returns it."""

    def make(**templates):
        folder = tmp_path / "templates"
        folder.mkdir(exist_ok=True)
        for name, text in templates.items():
            (folder / f"{name}.html").write_text(text)
        other = Flask("other", root_path=str(tmp_path))
        flagstone.init_app(other, load({"APP_ENV": "Test", "UPLOAD_FOLDER": str(tmp_path / "uploads")}))
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
    from flagstone import log

    def fail():
        raise LookupError

    log.configure(load({"APP_ENV": "Test"}), fail)
    try:
        logging.getLogger("any").warning("still here")
    finally:
        log.configure(load({"APP_ENV": "Test"}))
    assert "still here" in capsys.readouterr().out
