"""Who may write, and what is believed of who asks."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from hashlib import sha256

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from app.auth.model import User
from app.config import ConfigError
from app.extensions import db
from tests.unit.conftest import USER, sign_up


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


KEY, OTHER = generate_private_key(65537, 2048), generate_private_key(65537, 2048)
WRITE = {"json": {"title": "by token"}}


@pytest.fixture
def app(make_app):
    return make_app(JWT_PRIVATE_KEY=pem(KEY))


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def tokens(app, user):
    """Of a user."""
    return app.test_client().post("/api/token", json=USER).json


def claims(tokens):
    return jwt.decode(tokens["access_token"], options={"verify_signature": False})


def test_writing_takes_a_user(client):
    assert client.get("/api/notes").status_code == 200
    refused = client.post("/api/notes", **WRITE)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert client.delete("/api/notes/1").status_code == 401
    assert client.post("/notes", data={"title": "x"}).headers["Location"] == "/login"
    assert client.get("/api/notes").json["total"] == 0


def test_a_token_is_for_its_user(client, tokens):
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 900
    assert client.get("/api/whoami", headers=bearer(tokens["access_token"])).json == {"id": 1, "email": USER["email"]}
    assert client.post("/api/notes", **WRITE, headers=bearer(tokens["access_token"])).json["author_id"] == 1


def test_a_token_verifies_with_what_the_site_publishes_and_nothing_secret_is_published(client, tokens):
    (published,) = client.get("/.well-known/jwks.json").json["keys"]
    assert published.keys() == {"kty", "n", "e", "kid", "use", "alg"}
    token = tokens["access_token"]
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "JWT", "kid": published["kid"]}
    key = jwt.PyJWK(published)
    assert jwt.decode(token, key, audience="flagstone", issuer="flagstone")["sub"] == "1"


def forged(claims, key=KEY, algorithm="RS256", **other):
    return jwt.encode(claims | other, key, algorithm, headers={"kid": "any"})


def signed_with_the_public_key(claims):
    """By hand: libraries refuse to make it."""

    def part(data):
        return urlsafe_b64encode(data).rstrip(b"=")

    head = b".".join(part(json.dumps(value).encode()) for value in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (head + b"." + part(hmac.digest(public_pem(KEY).encode(), head, sha256))).decode()


FORGERIES = {
    "signed by another key": lambda claims: forged(claims, OTHER),
    "not signed": lambda claims: jwt.encode(claims, None, "none"),
    "signed with a shared secret": lambda claims: forged(claims, "x" * 32, "HS256"),
    "signed with the public key as the secret": signed_with_the_public_key,
    "for another audience": lambda claims: forged(claims, aud="elsewhere"),
    "from another issuer": lambda claims: forged(claims, iss="elsewhere"),
    "expired": lambda claims: forged(claims, exp=int(time.time()) - 1),
    "not yet good": lambda claims: forged(claims, nbf=int(time.time()) + 60),
    "for a user who is gone": lambda claims: forged(claims, sub="7"),
    "no token": lambda claims: "x.y.z",
    "nothing": lambda claims: "",
}


def test_the_forgeries_below_are_good_but_for_one_thing(client, tokens):
    assert client.get("/api/whoami", headers=bearer(forged(claims(tokens)))).status_code == 200


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_token_that_is_not_good_is_refused(client, tokens, forgery):
    token = FORGERIES[forgery](claims(tokens))
    refused = client.post("/api/notes", **WRITE, headers=bearer(token))
    assert refused.status_code == 401, refused.text
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert refused.json["error"]["request_id"] == refused.headers["X-Request-ID"]


def test_a_bad_token_is_no_stranger_with_a_session(user):
    """Whoever sends one means it: it must not fall back to a cookie."""
    assert user.get("/api/whoami").status_code == 200
    assert user.get("/api/whoami", headers=bearer("x.y.z")).status_code == 401


def test_a_refresh_token_gets_new_tokens_and_nothing_else(client, tokens):
    refresh = bearer(tokens["refresh_token"])
    assert client.get("/api/whoami", headers=refresh).status_code == 401
    again = client.post("/api/token/refresh", headers=refresh).json
    assert client.get("/api/whoami", headers=bearer(again["access_token"])).status_code == 200
    assert client.post("/api/token/refresh", headers=bearer(tokens["access_token"])).status_code == 401


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_revoked_token_is_refused(client, tokens, kind):
    token = bearer(tokens[kind])
    assert client.post("/api/token/revoke", headers=token).status_code == 204
    path = {"access_token": "/api/token/revoke", "refresh_token": "/api/token/refresh"}[kind]
    assert client.post(path, headers=token).status_code == 401


def test_without_redis_tokens_are_not_believed_and_the_answer_says_so(make_app):
    """Whether one is revoked is not known."""
    app = make_app(REDIS_URL="redis://127.0.0.1:1")
    sign_up(app.test_client())
    token = app.test_client().post("/api/token", json=USER).json["access_token"]
    refused = app.test_client().get("/api/whoami", headers=bearer(token))
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")


def test_former_keys_are_believed_while_another_one_signs(make_app):
    app = make_app(JWT_PRIVATE_KEY=pem(OTHER), JWT_PUBLIC_KEYS=public_pem(KEY))
    client = sign_up(app.test_client())
    token = client.post("/api/token", json=USER).json["access_token"]
    new, former = client.get("/.well-known/jwks.json").json["keys"]
    assert jwt.get_unverified_header(token)["kid"] == new["kid"]
    old = jwt.encode(jwt.decode(token, options={"verify_signature": False}), KEY, "RS256", {"kid": former["kid"]})
    for good in (token, old):
        assert app.test_client().get("/api/whoami", headers=bearer(good)).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_PRIVATE_KEY", "hunter2"),
        ("JWT_PRIVATE_KEY", pem(generate_private_key(65537, 1024))),  # noqa: S505
        ("JWT_PRIVATE_KEY", public_pem(KEY)),
        ("JWT_PUBLIC_KEYS", "-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----"),
    ],
    ids=["no PEM", "too short", "a public one", "a damaged one"],
)
def test_what_is_no_key_stops_the_app_with_its_name_and_never_its_value(make_app, name, value):
    with pytest.raises(ConfigError) as error:
        make_app(**{name: value})
    assert name in str(error.value)
    assert "expected" in str(error.value)
    assert value[:60] not in str(error.value)


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


def test_sign_in_sign_out(client, user):
    wrong = client.post("/login", data=USER | {"password": "another one than that"})
    assert (wrong.status_code, "no user has this address and password" in wrong.text) == (400, True)
    assert client.post("/login", data=USER).status_code == 303
    assert "Sign out" in client.get("/").text
    assert client.post("/logout").status_code == 303
    assert client.get("/api/whoami").status_code == 401


@pytest.mark.parametrize("email", ["nobody@example.test", USER["email"]])
def test_a_wrong_password_and_an_unknown_address_are_told_apart_by_nothing(client, user, email):
    refused = client.post("/api/token", json={"email": email, "password": "x"})
    assert refused.status_code == 401
    assert refused.json["error"]["message"] == "No user has this address and password."


@pytest.mark.parametrize("user", [0, -1, 2**63, 2.5, "1", "x", "", True, [], [1], [1, 2], {}, {"id": 1}])
def test_a_session_that_holds_no_user_is_a_strangers(app, client, user):
    """Signed by us, but made by an older release or another application."""
    sign_up(app.test_client())
    with client.session_transaction() as session:
        session["user"] = user
    assert client.get("/api/whoami").status_code == 401
    assert client.get("/reports").status_code == 303


def test_a_note_is_deleted_by_its_author_only(app, user):
    user.post("/api/notes", **WRITE)
    other = sign_up(app.test_client(), email="other@example.test")
    assert other.delete("/api/notes/1").status_code == 403
    assert other.post("/notes/1/delete").status_code == 403
    assert "Delete" not in other.get("/notes").text
    assert "Delete" in user.get("/notes").text
    assert user.delete("/api/notes/1").status_code == 204


def test_passwords_are_stored_as_argon2id(app, user):
    with app.app_context():
        assert db.session.get(User, 1).password_hash.startswith("$argon2id$")


def test_sessions_made_with_a_former_secret_stay_good(make_app, tmp_path):
    settings = {"DATABASE_URL": f"sqlite:///{tmp_path}/db"}
    old = make_app(SECRET_KEY="a former one", **settings)
    with old.app_context():
        db.create_all()
    cookie = sign_up(old.test_client()).get_cookie("session").value
    for fallbacks, status in (("a former one", 200), ("another", 401)):
        client = make_app(SECRET_KEY="a new one", SECRET_KEY_FALLBACKS=fallbacks, **settings).test_client()
        client.set_cookie("session", cookie)
        assert client.get("/api/whoami").status_code == status


def test_users_are_made_on_the_command_line(app):
    runner = app.test_cli_runner()
    arguments = ["user", "create", "cli@example.test", "--password"]
    assert "User 1 is there" in runner.invoke(args=[*arguments, "correct horse battery"]).output
    refused = runner.invoke(args=[*arguments, "short"])
    assert refused.exit_code == 1
    assert "password: expected at least 12 characters" in refused.output


def test_no_more_users_sign_up_where_registration_is_off(make_app):
    client = make_app(REGISTRATION="off").test_client()
    assert client.post("/register", data=USER).status_code == 403
    assert "Sign up" not in client.get("/login").text


@pytest.mark.parametrize("body", [b'{"title": "a", "title": "b"}', b'{"a": {"b": 1, "b": 2}}'])
def test_a_field_that_stands_twice_is_refused(user, body):
    assert user.post("/api/notes", data=body, content_type="application/json").status_code == 400


def test_a_site_in_a_frame_of_another_one_keeps_its_session(make_app):
    settings = {"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": "1"}
    answer = make_app(**settings).test_client().post("/register", data=USER)
    attributes = set(answer.headers["Set-Cookie"].split("; "))
    assert {"SameSite=None", "Secure", "Partitioned"} <= attributes
