"""The front page, and what holds for each page of this application."""

import re

import pytest
from werkzeug.test import create_environ, run_wsgi_app

from tests.conftest import ROOT
from tests.unit.test_http import NOWHERE


def test_the_status_page_shows_what_runs_and_what_it_sees(make_app):
    page = make_app(MSG="<Ahoy>", RELEASE="v1.2.3").test_client().get("/", headers={"Host": "example.test"}).text
    for text in ("&lt;Ahoy&gt;", "v1.2.3", "Test", "127.0.0.1", "http", "example.test", "sqlite", "memory"):
        assert text in page


def test_the_status_page_says_when_the_release_runs_on_stand_ins(make_app):
    assert "stand-in" not in make_app().test_client().get("/").text
    assert "on stand-ins" in make_app(FLAGSTONE_OFFLINE="forky").test_client().get("/").text


def test_the_status_page_stands_without_a_database_and_never_shows_a_password(make_app):
    settings = {"DATABASE_URL": NOWHERE, "DATABASE_PASSWORD": "hunter2", "SECRET_KEY": "hunter3"}
    answer = make_app(**settings).test_client().get("/")
    assert answer.status_code == 200
    assert "unavailable" in answer.text
    assert "hunter" not in answer.text


@pytest.mark.parametrize("path", ["/", "/notes", "/absent"])
def test_pages_have_no_inline_script_or_style(client, path):
    page = client.get(path).text
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", page)


@pytest.mark.parametrize("file", [*(ROOT / "app").glob("**/templates/**/*.html")], ids=str)
def test_no_page_needs_more_than_the_content_security_policy_allows(file):
    """No inline script, style or handler, and nothing from another site."""
    text = file.read_text()
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:|=[\"'](https?:)?//", text)


@pytest.mark.parametrize("path", ["/api/notes", "/notes"])
def test_without_a_database_a_request_that_needs_it_is_503_and_says_when_to_retry(make_app, path):
    answer = make_app(DATABASE_URL=NOWHERE).test_client().get(path)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize(("host", "status"), [("a.test", 200), ("b.test:1", 200), ("x.b.test", 200), ("c.test", 400)])
@pytest.mark.parametrize("path", ["/", "/api/notes", "/health"])
def test_only_trusted_hosts_are_answered(make_app, path, host, status):
    """A page would build its addresses from the host: the refusal must not, or it is a 500."""
    client = make_app(TRUSTED_HOSTS="a.test, .b.test").test_client()
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == status
    assert answer.headers["X-Request-ID"]
    assert status == 200 or answer.is_json == path.startswith("/api")


@pytest.mark.parametrize("path", ["/", "/api/notes", "/login", "/absent"])
@pytest.mark.parametrize(
    "odd",
    [{"QUERY_STRING": "page=\xff"}, {"QUERY_STRING": "\xe9"}, {"HTTP_HOST": "a" * 64}, {"HTTP_HOST": "[:.:]"}],
    ids=["query", "name", "label", "IPv6"],
)
def test_an_address_that_cannot_be_read_is_a_bad_request(app, path, odd):
    _, status, headers = run_wsgi_app(app, create_environ(path) | odd)
    assert status == "400 BAD REQUEST"
    assert headers["X-Request-ID"]
    assert ("json" in headers["Content-Type"]) == path.startswith("/api")


def test_the_app_stands_without_the_demo(make_app, monkeypatch):
    for part in ("app.notes.init_app", "app.reports.init_app"):
        monkeypatch.setattr(part, lambda app: None)
    client = make_app().test_client()
    assert "Notes" not in client.get("/").text
    assert client.get("/notes").status_code == 404
