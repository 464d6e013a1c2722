"""Accounts: their addresses and passwords, links by mail, and the command line."""

import re
import time
from contextlib import contextmanager
from email import message_from_string
from email.policy import default

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, example, given, settings, strategies

from app.auth import address, links, passwords
from app.auth.model import User, create_user
from app.tests.conftest import USER, queries, sign_up
from flagstone.broker import QUEUE_GONE
from flagstone.extensions import db
from flagstone.mail import Mail
from tests.smtp import mail_server
from tests.unit.unicode import TEXTS

HASHER = passwords.hasher  # before the tests have a quicker one
NEW = "another one than that"


@pytest.mark.parametrize(
    "fields",
    [{}, {"email": "x"}, {"email": "a b@example.test"}, {"password": "too short"}, {"password": "x" * 257}],
)
def test_what_is_no_account_is_refused_with_the_field_named(client, fields):
    refused = client.post("/register", data={} if not fields else USER | fields)
    assert refused.status_code == 400
    assert "expected" in refused.text
    assert "Set-Cookie" not in refused.headers


def test_an_address_has_one_account(client, user):
    refused = client.post("/register", data=USER | {"email": USER["email"].upper()})
    assert (refused.status_code, "has an account already" in refused.text) == (400, True)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        (" User@Example.TEST ", "user@example.test"),
        ("user@bücher.test", "user@xn--bcher-kva.test"),
        ("user@XN--BCHER-KVA.test", "user@xn--bcher-kva.test"),
        ("Ju\u0308rgen@example.test", "j\u00fcrgen@example.test"),
        ("straße@example.test", "straße@example.test"),  # another mailbox than strasse@
        ("\u0130x@example.test", "i\u0307x@example.test"),
        ("o'neil+news@host.local", "o'neil+news@host.local"),
    ],
)
def test_an_address_is_stored_in_one_form_and_found_in_each(app, client, typed, stored):
    sign_up(client, email=typed)
    for again in (typed, stored):
        assert app.test_client().post("/login", data=USER | {"email": again}).status_code == 303, again
    assert client.get("/api/whoami").json["email"] == stored
    assert client.post("/register", data=USER | {"email": typed}).status_code == 400


@pytest.mark.parametrize(
    "typed",
    [
        "a\u200bb@example.test",  # a zero-width space
        "a\u202eb@example.test",  # right to left from here
        "a\u00adb@example.test",  # a soft hyphen
        "\uff55\uff53\uff45\uff52@example.test",  # full-width letters
        "\ufb01@example.test",  # a ligature
        "a@b@example.test",
        "a..b@example.test",
        '"a b"@example.test',
        "a@[127.0.0.1]",
        "a@localhost",
        "Somebody <a@example.test>",
        "\u0130" * 130 + "@example.test",
        "ß" * 60 + "@" + "ü" * 60 + ".test",
    ],
)
def test_an_address_that_looks_like_another_or_reaches_nobody_is_refused(client, typed):
    refused = client.post("/register", data=USER | {"email": typed})
    assert (refused.status_code, "expected" in refused.text) == (400, True)


@settings(max_examples=300, deadline=None)
@given(local=TEXTS, domain=TEXTS)
@example(local="\u0130", domain="\u0130.test")
@example(local="\u023a" * 115, domain="example.test")
def test_the_normal_form_of_an_address_is_its_own_and_fits(local, domain):
    for text in (f"{local}@example.test", f"user@{domain}.test"):
        try:
            normal = address.normal(text)
        except ValueError:
            continue
        assert address.normal(normal) == normal
        assert len(normal) <= address.LENGTH
        assert normal in address.stored_forms(text)


@pytest.mark.parametrize(
    "stored", ["user@bücher.test", "a\u200bb@example.test", "strasse\ufb01@example.test", "a@b.c_d"]
)
def test_accounts_of_before_are_found(app, client, stored):
    """Then an address was stored as it was typed, in lower case."""
    with app.app_context():
        db.session.add(User(email=stored, password_hash=passwords.hasher.hash(USER["password"])))
        db.session.commit()
    assert client.post("/login", data=USER | {"email": stored}).status_code == 303
    assert client.post("/register", data=USER | {"email": stored}).status_code == 400


@pytest.mark.parametrize(
    "password",
    [
        USER["email"],
        "User@Example.Test",
        "password1234",
        "Password1234!",
        "passwordpassword",
        "abcabcabcabc",
        "1qaz2wsx3edc",
        " " * 20 + "a" * 12,
    ],
)
def test_a_password_that_is_tried_first_is_refused(client, password):
    refused = client.post("/register", data=USER | {"password": password})
    assert (refused.status_code, "expected" in refused.text) == (400, True)


def test_passwords_are_stored_as_argon2id_of_rfc_9106(app, user):
    with app.app_context():
        assert db.session.get(User, 1).password_hash.startswith("$argon2id$")
    assert (HASHER.memory_cost, HASHER.time_cost, HASHER.parallelism) == (64 * 1024, 3, 4)


def test_a_hash_grows_with_the_parameters_and_sessions_go_on(app, user, monkeypatch):
    monkeypatch.setattr(passwords, "hasher", PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    assert app.test_client().post("/login", data=USER).status_code == 303
    with app.app_context():
        assert ",t=2," in db.session.get(User, 1).password_hash
    assert user.get("/api/whoami").status_code == 200


FIELDS = [
    ("/register", ("email", "password")),
    ("/login", ("email", "password")),
    ("/forgot", ("email",)),
    ("/account", ("old_password", "password")),
    ("/notes", ("title", "body")),
    ("/api/token", ("email", "password")),
    ("/api/notes", ("title", "body")),
]


@pytest.mark.parametrize(("path", "names"), FIELDS)
def test_no_text_in_any_field_is_an_error(app, path, names):
    client = sign_up(app.test_client())

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.nested_given])
    @given(values=strategies.tuples(*[TEXTS for _ in names]))
    @example(values=tuple("\u0130" * 254 for _ in names))
    @example(values=tuple("\u0130" * 126 + "@example.test" for _ in names))
    def send(values):
        fields = dict(zip(names, values, strict=True))
        if path.startswith("/api"):
            answer = client.post(path, json=fields)
        else:
            answer = client.post(
                path, data={name: value.encode(errors="surrogatepass") for name, value in fields.items()}
            )
        assert answer.status_code < 500, answer.text

    send()


@contextmanager
def by_mail(make_app):
    """A site that sends mail, and its mailbox; what it sends is sent at once."""
    with mail_server() as mailbox:
        yield make_app(MAIL_SERVER="localhost", MAIL_PORT=str(mailbox.port)), mailbox


def link(mailbox):
    """That of the last mail, as a path."""
    return re.search(r"http://localhost(/reset\?token=\S+)", text(mailbox))[1]


def text(mailbox):
    return message_from_string(mailbox.texts()[-1], policy=default).get_content()


def account(app, **fields):
    with app.app_context():
        create_user(USER | fields)


def test_whoever_lost_a_password_chooses_another_one_by_mail_once(make_app):
    with by_mail(make_app) as (app, mailbox):
        account(app)
        signed_in, client = app.test_client(), app.test_client()
        assert signed_in.post("/login", data=USER).status_code == 303
        assert "Forgot your password" in client.get("/login").text
        assert client.post("/forgot", data={"email": USER["email"]}).headers["Location"] == "/login"
        assert f"To: {USER['email']}" in mailbox.texts()[0]
        page = link(mailbox)
        assert client.get(page).status_code == client.get(page).status_code == 200, "a mail program may look, too"
        easy = client.post(page, data={"password": "passwordpassword"})
        assert (easy.status_code, "harder to guess" in easy.text) == (400, True)
        assert client.post(page, data={"password": NEW}).headers["Location"] == "/login"
        assert "The password is set" in client.get("/login").text
        assert client.post("/login", data=USER | {"password": NEW}).status_code == 303
        assert client.post("/login", data=USER).status_code == 400
        assert client.post(page, data={"password": "a third one for the thief"}).status_code == 410
        assert signed_in.get("/api/whoami").status_code == 401


@pytest.mark.parametrize("path", ["/forgot", "/register"])
def test_nobody_learns_who_has_an_account_where_mail_is_sent(make_app, path):
    with by_mail(make_app) as (app, mailbox):
        account(app)
        answers = [app.test_client().post(path, data={"email": email}) for email in (USER["email"], "new@example.test")]
        followed = [app.test_client().get("/login").text for _ in answers]
    one, two = ((answer.status_code, answer.headers["Location"], answer.text) for answer in answers)
    assert one == two
    assert followed[0] == followed[1]
    assert len(mailbox.messages) == {"/forgot": 1, "/register": 2}[path]


@pytest.mark.parametrize("path", ["/forgot", "/register"])
def test_what_asks_for_a_mail_asks_no_database(make_app, monkeypatch, path):
    """So it takes as long for every address."""
    with by_mail(make_app) as (app, _):
        monkeypatch.setattr(links.mail_link, "delay", lambda *_: None)
        with queries(app) as asked:
            assert app.test_client().post(path, data={"email": USER["email"]}).status_code == 303
        assert not asked


def test_an_account_is_made_by_whoever_reads_its_mail(make_app):
    with by_mail(make_app) as (app, mailbox):
        client = app.test_client()
        assert 'name="password"' not in client.get("/register").text
        assert client.post("/register", data=USER).status_code == 400, "nobody chooses a password for somebody else"
        client.post("/register", data={"email": " User@Example.TEST"})
        assert client.post("/login", data=USER).status_code == 400
        page = link(mailbox)
        assert client.post(page, data={"password": USER["password"]}).status_code == 303
        assert client.post("/login", data=USER).status_code == 303
        assert client.post(page, data={"password": NEW}).status_code == 410


def test_a_link_is_for_the_address_that_it_was_sent_to(make_app):
    with by_mail(make_app) as (app, mailbox):
        client = app.test_client()
        client.post("/register", data={"email": "thief@example.test"})
        client.post(link(mailbox), data=USER)
        assert client.post("/login", data=USER).status_code == 400


def test_whoever_has_an_account_and_wants_one_is_told_so_by_mail_only(make_app):
    with by_mail(make_app) as (app, mailbox):
        account(app)
        app.test_client().post("/register", data={"email": USER["email"]})
        assert "It has one" in text(mailbox)
        assert app.test_client().post(link(mailbox), data={"password": NEW}).status_code == 303


def test_an_address_gets_a_link_each_ten_minutes_at_most(make_app):
    with by_mail(make_app) as (app, mailbox):
        account(app)
        for email in (USER["email"], USER["email"].upper(), f" {USER['email']}"):
            assert app.test_client().post("/forgot", data={"email": email}).status_code == 303
        assert len(mailbox.messages) == 1


def test_a_link_is_good_for_an_hour_and_not_after_another_password_or_for_a_disabled_user(make_app, monkeypatch):
    with by_mail(make_app) as (app, mailbox):
        account(app)
        client, now = app.test_client(), time.time()
        monkeypatch.setattr("time.time", lambda: now)
        client.post("/forgot", data={"email": USER["email"]})
        page = link(mailbox)
        monkeypatch.setattr("time.time", lambda: now + 3590)
        assert client.get(page).status_code == 200
        monkeypatch.setattr("time.time", lambda: now + 3610)
        assert client.get(page).status_code == client.post(page, data={"password": NEW}).status_code == 410
        monkeypatch.undo()
        app.test_cli_runner().invoke(args=["user", "disable", USER["email"]])
        app.test_cli_runner().invoke(args=["user", "enable", USER["email"]])
        assert client.post(page, data={"password": NEW}).status_code == 410


def test_a_disabled_user_gets_no_mail(make_app):
    with by_mail(make_app) as (app, mailbox):
        account(app)
        app.test_cli_runner().invoke(args=["user", "disable", USER["email"]])
        for path in ("/forgot", "/register"):
            assert app.test_client().post(path, data={"email": USER["email"]}).status_code == 303
        assert not mailbox.messages


@pytest.mark.parametrize("token", ["", "x", "e30.x.y", "\u0130"])
def test_what_is_no_link_is_told_so(client, token):
    assert client.get("/reset", query_string={"token": token}).status_code == 410
    assert client.post("/reset", query_string={"token": token}, data={"password": NEW}).status_code == 410


def test_where_no_mail_is_sent_the_page_says_who_helps(client):
    assert "Forgot your password" not in client.get("/login").text
    refused = client.post("/forgot", data={"email": USER["email"]})
    assert (refused.status_code, "operator" in refused.text) == (403, True)


def test_a_queue_that_is_away_is_told(make_app):
    client = make_app(MAIL_SERVER="localhost", REDIS_URL="redis://127.0.0.1:1").test_client()
    assert client.post("/forgot", data={"email": USER["email"]}).status_code == 503


def test_a_link_that_could_not_be_queued_can_be_asked_for_again(make_app, monkeypatch):
    def gone(*_):
        raise QUEUE_GONE

    with by_mail(make_app) as (app, mailbox):
        account(app)
        client = app.test_client()
        with monkeypatch.context() as while_it_is_away:
            while_it_is_away.setattr(links.mail_link, "delay", gone)
            assert client.post("/forgot", data={"email": USER["email"]}).status_code == 503
        assert client.post("/forgot", data={"email": USER["email"]}).status_code == 303
        assert len(mailbox.messages) == 1


def test_strangers_cannot_fill_the_outbox_while_the_mail_server_is_down(make_app, monkeypatch):
    monkeypatch.setattr("flagstone.mail.OUTBOX_MAX", 3)
    app = make_app(MAIL_SERVER="localhost", MAIL_PORT="1")
    statuses = [
        app.test_client().post("/register", data={"email": f"{number}@example.test"}).status_code for number in range(6)
    ]
    assert statuses == [303, 303, 303, 303, 503, 503], "the first one that is too many is found by the worker"
    with app.app_context():
        assert len(db.session.scalars(db.select(Mail)).all()) == 3


@pytest.fixture
def flask(app):
    """Runs flask user ..."""
    return lambda *arguments: app.test_cli_runner().invoke(args=["user", *arguments])


def test_users_are_made_on_the_command_line(flask):
    assert "User 1 is there" in flask("create", "cli@example.test", "--password", USER["password"]).output
    refused = flask("create", "cli@example.test", "--password", "short")
    assert refused.exit_code == 1
    assert "password: expected at least 12 characters" in refused.output


def test_the_command_line_sets_a_password_and_ends_what_there_was(app, user, flask):
    assert flask("reset", USER["email"].upper(), "--password", NEW).exit_code == 0
    assert user.get("/api/whoami").status_code == 401
    assert app.test_client().post("/login", data=USER | {"password": NEW}).status_code == 303


def test_the_command_line_signs_a_user_out(app, user, flask):
    assert flask("sign-out", USER["email"]).exit_code == 0
    assert user.get("/api/whoami").status_code == 401
    assert app.test_client().post("/login", data=USER).status_code == 303


def test_a_disabled_user_is_out_at_once_and_stays_out_until_enabled(app, user, flask):
    token = app.test_client().post("/api/token", json=USER).json["access_token"]
    assert flask("disable", USER["email"]).exit_code == 0
    assert user.get("/api/whoami").status_code == 401
    assert app.test_client().get("/api/whoami", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert app.test_client().post("/login", data=USER).status_code == 400
    assert app.test_client().post("/api/token", json=USER).status_code == 401
    assert flask("enable", USER["email"]).exit_code == 0
    assert user.get("/api/whoami").status_code == 401
    assert app.test_client().post("/login", data=USER).status_code == 303


@pytest.mark.parametrize("command", ["reset", "sign-out", "disable", "enable"])
def test_a_user_who_is_not_there_is_told_on_the_command_line(flask, command):
    done = flask(command, "nobody@example.test", *(["--password", NEW] if command == "reset" else []))
    assert (done.exit_code, "No user has the address nobody@example.test" in done.output) == (2, True)


def test_no_more_users_sign_up_where_registration_is_off(make_app):
    client = make_app(REGISTRATION="off").test_client()
    assert client.post("/register", data=USER).status_code == 403
    assert "Sign up" not in client.get("/login").text
