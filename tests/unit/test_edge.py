"""What the platform says of an answer that nginx might keep for all; its own part is in tests/stack."""

import logging

import pytest
from flask import Flask, flash, g, make_response, session

import flagstone
from flagstone import edge
from flagstone.config import load
from flagstone.csp import csp_nonce
from flagstone.edge import public_for

KEPT = "public, s-maxage=60, stale-while-revalidate=86400, stale-if-error=86400"
FILL = {"X-Edge-Cache": "fill"}  # as nginx/site/proxy.conf sends it
HOP = {"REMOTE_ADDR": "127.0.0.1"}


@pytest.fixture
def answer_of(tmp_path):
    """Asks for what a view returns, as nginx does."""

    def ask(view, headers=FILL, environ=None, **settings):
        app = Flask("site")
        settings = {"APP_ENV": "Test", "UPLOAD_FOLDER": str(tmp_path), "PROXY_HOPS": "1", **settings}
        flagstone.init_app(app, load(settings))
        app.add_url_rule("/page", view_func=public_for(60)(view), endpoint="page")
        return app.test_client(use_cookies=False).get("/page", headers=headers, environ_base=environ or HOP)

    return ask


def test_an_answer_for_all_says_so_to_nginx_with_a_validator(answer_of):
    answer = answer_of(lambda: "for all")
    assert answer.headers["Cache-Control"] == KEPT
    assert answer.headers["ETag"]
    assert answer.headers["Vary"] == "Cookie", "for whoever is in between"


def test_an_empty_session_is_everybody_s(answer_of):
    answer = answer_of(lambda: f"signed in: {session.get('user')}")
    assert answer.headers["Cache-Control"] == KEPT


@pytest.mark.parametrize(
    "asking",
    [
        {"headers": {}},
        {"environ": {"REMOTE_ADDR": "203.0.113.9"}},
        {"environ": {"REMOTE_ADDR": ""}, "PROXY_HOPS": "0"},
        {"WITHOUT": "edge"},
    ],
    ids=str,
)
def test_nobody_but_nginx_is_told(answer_of, asking):
    assert "Cache-Control" not in answer_of(lambda: "for all", **asking).headers


def with_cookie():
    response = make_response("")
    response.set_cookie("visitor", "first")
    return response


def of_user():
    g.user = "somebody"
    return ""


def says(header, value):
    return lambda: ("", {header: value})


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (with_cookie, "it sets a cookie"),
        (lambda: session.setdefault("csrf_token", "made for one"), "it sets a cookie"),
        (lambda: flash("Saved.") or "", "it sets a cookie"),
        (csp_nonce, "csp_nonce() is in it"),
        (edge.request_id, "request_id() is in it"),
        (of_user, "it is of a user"),
        (says("Cache-Control", "private"), "it says so itself"),
        (says("Cache-Control", "no-store"), "it says so itself"),
        (says("Cache-Control", "no-cache"), "it says so itself"),
        (says("Vary", "*"), "it says so itself"),
    ],
)
def test_what_is_one_person_s_is_kept_nowhere_and_the_log_says_why_once(answer_of, view, reason, monkeypatch, caplog):
    monkeypatch.setattr(edge, "user_id", lambda: g.get("user"))  # of a row, otherwise
    edge.warn.cache_clear()
    caplog.set_level(logging.WARNING, "flagstone.edge")
    for _ in range(2):
        assert answer_of(view).headers["Cache-Control"] == "no-store"
    said = [record.getMessage() for record in caplog.records if record.name == "flagstone.edge"]
    assert said == [f"page is public_for strangers, but not kept, because {reason}"]


@pytest.mark.parametrize("header", [{"Cookie": "theme=dark"}, {"Authorization": "Bearer x"}])
def test_nor_is_what_somebody_asked_for(answer_of, header):
    assert answer_of(lambda: "", headers=FILL | header).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("status", [201, 301, 404, 500])
def test_an_answer_that_is_no_200_is_not_for_all(answer_of, status):
    assert "Cache-Control" not in answer_of(lambda: ("", status)).headers
