"""Accounts: their addresses and passwords, and the command line."""

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, example, given, settings, strategies

from app.auth import address, passwords
from app.auth.model import User
from app.extensions import db
from tests.unit.conftest import USER, sign_up
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
