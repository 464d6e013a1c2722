"""Sessions as Flask has them; and nothing is done for one that is not there."""

import pytest
from flask import Flask, session
from flask.sessions import SecureCookieSessionInterface

import flagstone
from flagstone.config import load
from flagstone.sessions import Sessions


@pytest.fixture
def make_site(tmp_path):
    def make(interface=None, **settings):
        app = Flask("site")
        if interface:
            app.session_interface = interface
        flagstone.init_app(app, load({"APP_ENV": "Test", "UPLOAD_FOLDER": str(tmp_path), **settings}))
        app.add_url_rule("/read", view_func=lambda: str(session.get("user")), endpoint="read")
        app.add_url_rule("/write", view_func=lambda: str(session.setdefault("user", "first")), endpoint="write")
        return app

    return make


def test_what_is_written_is_read_and_the_cookie_varies(make_site):
    client = make_site().test_client()
    assert client.get("/read").text == "None"
    answer = client.get("/write")
    assert "Cookie" in answer.headers["Vary"]
    client.set_cookie("theme", "dark")
    assert client.get("/read").text == "first"


@pytest.mark.parametrize("cookie", [None, "theme=dark", "theme=dark; _ga=GA1.1"])
def test_for_a_stranger_no_key_is_made(make_site, monkeypatch, cookie):
    monkeypatch.setattr(Sessions, "get_signing_serializer", lambda *_: pytest.fail("nothing is to be verified"))
    headers = {"Cookie": cookie} if cookie else {}
    assert make_site().test_client(use_cookies=False).get("/read", headers=headers).text == "None"


def test_a_forged_one_is_none(make_site):
    client = make_site().test_client(use_cookies=False)
    assert client.get("/read", headers={"Cookie": "session=eyJ1c2VyIjoiZmlyc3QifQ.x.y"}).text == "None"


def test_the_name_of_the_cookie_is_a_setting(make_site):
    app = make_site()
    app.config["SESSION_COOKIE_NAME"] = "basket"
    client = app.test_client()
    assert client.get("/write").headers["Set-Cookie"].startswith("basket=")
    assert client.get("/read").text == "first"


def test_an_application_keeps_an_interface_of_its_own(make_site):
    class Own(SecureCookieSessionInterface):
        pass

    own = Own()
    assert make_site(own).session_interface is own
    assert type(make_site(WITHOUT="sessions").session_interface) is SecureCookieSessionInterface
