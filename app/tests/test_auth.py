"""Who may write, and what is believed of who asks."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings, strategies

from app.auth import sign_ins
from app.auth.model import authenticate, change_password, find_user
from app.tests.conftest import USER, queries, sign_up
from flagstone.config import ConfigError
from flagstone.extensions import db


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
    "of another user": lambda claims: forged(claims, sub="2"),
    "of another sign-in": lambda claims: forged(claims, sid=str(uuid4())),
    "of none": lambda claims: forged(claims, sid="x"),
    "no token": lambda claims: "x.y.z",
    "nothing": lambda claims: "",
}


def test_the_forgeries_below_are_good_but_for_one_thing(client, tokens):
    assert client.get("/api/whoami", headers=bearer(forged(claims(tokens)))).status_code == 200


@pytest.mark.parametrize("claim", ["exp", "jti", "sid", "sub", "iss", "aud"])
def test_a_token_without_one_of_its_claims_is_refused_even_when_we_signed_it(client, tokens, claim):
    short = {name: value for name, value in claims(tokens).items() if name != claim}
    assert client.get("/api/whoami", headers=bearer(forged(short))).status_code == 401


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    claim=strategies.sampled_from(["exp", "iat", "nbf", "jti", "sid", "sub", "type", "fresh", "aud", "iss"]),
    value=strategies.recursive(
        strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(),
        lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
        max_leaves=5,
    ),
)
def test_whatever_a_token_of_ours_claims_is_no_error(client, tokens, claim, value):
    # By hand, because the library refuses to sign some of it.
    part = urlsafe_b64encode(json.dumps(claims(tokens) | {claim: value}).encode()).rstrip(b"=").decode()
    head = f"{forged({}).split('.')[0]}.{part}"
    signed = f"{head}.{urlsafe_b64encode(KEY.sign(head.encode(), PKCS1v15(), SHA256())).rstrip(b'=').decode()}"
    assert client.get("/api/whoami", headers=bearer(signed)).status_code in (200, 401)


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


def test_a_refresh_token_is_good_once_and_who_uses_it_twice_ends_its_family(client, tokens):
    again = client.post("/api/token/refresh", headers=bearer(tokens["refresh_token"])).json
    other = client.post("/api/token", json=USER).json
    assert client.post("/api/token/refresh", headers=bearer(tokens["refresh_token"])).status_code == 401
    for ended in (tokens["access_token"], again["access_token"]):
        assert client.get("/api/whoami", headers=bearer(ended)).status_code == 401
    assert client.post("/api/token/refresh", headers=bearer(again["refresh_token"])).status_code == 401
    assert client.get("/api/whoami", headers=bearer(other["access_token"])).status_code == 200


def test_a_family_of_tokens_ends_when_its_first_refresh_token_would_have(client, tokens):
    again = client.post("/api/token/refresh", headers=bearer(tokens["refresh_token"])).json
    first, second = (jwt.decode(both["refresh_token"], options={"verify_signature": False}) for both in (tokens, again))
    assert (first["exp"], first["sid"]) == (second["exp"], second["sid"])
    assert first["jti"] != second["jti"]


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_revoked_token_is_refused(client, tokens, kind):
    token = bearer(tokens[kind])
    assert client.post("/api/token/revoke", headers=token).status_code == 204
    path = {"access_token": "/api/token/revoke", "refresh_token": "/api/token/refresh"}[kind]
    assert client.post(path, headers=token).status_code == 401


def test_to_revoke_a_refresh_token_ends_its_access_tokens(client, tokens):
    assert client.post("/api/token/revoke", headers=bearer(tokens["refresh_token"])).status_code == 204
    assert client.get("/api/whoami", headers=bearer(tokens["access_token"])).status_code == 401


def test_tokens_need_no_redis(make_app):
    """What has ended stands in the database."""
    app = make_app(REDIS_URL="redis://127.0.0.1:1")
    sign_up(app.test_client())
    token = bearer(app.test_client().post("/api/token", json=USER).json["access_token"])
    for method, path, status in (("GET", "/api/whoami", 200), ("POST", "/api/token/revoke", 204)):
        assert app.test_client().open(path, method=method, headers=token).status_code == status
    assert app.test_client().get("/api/whoami", headers=token).status_code == 401


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_the_scheme_of_a_token_may_be_written_in_any_case(client, tokens, scheme):
    sent = {"Authorization": f"{scheme} {tokens['access_token']}"}
    assert client.get("/api/whoami", headers=sent).status_code == 200


@pytest.mark.parametrize(
    "sent", ["Bearer", "Bearer ", "Bearer x y", "Bearer x,", "Bearer ,", "bearer \xff", "Bearer a.b"]
)
def test_what_is_no_token_is_refused_and_no_error(user, sent):
    assert user.get("/api/whoami", headers={"Authorization": sent}).status_code == 401


def test_what_basic_auth_in_front_has_asked_for_is_no_token(app, user):
    """A browser sends it with each request."""
    for sent in ("Basic dGVhbTpwdw==", "basic", "Digest username=team", ""):
        header = {"Authorization": sent}
        assert user.get("/api/whoami", headers=header).json["email"] == USER["email"], sent
        assert app.test_client().get("/api/whoami", headers=header).status_code == 401


@pytest.mark.parametrize("part", [0, 1])
def test_a_token_that_nests_too_deeply_is_refused_and_no_error(client, tokens, part):
    parts = tokens["access_token"].split(".")
    parts[part] = urlsafe_b64encode(b"[" * 100_000).decode()
    assert client.get("/api/whoami", headers=bearer(".".join(parts))).status_code == 401


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


def test_sign_in_sign_out(client, user):
    wrong = client.post("/login", data=USER | {"password": "another one than that"})
    assert (wrong.status_code, "no user has this address and password" in wrong.text) == (400, True)
    assert client.post("/login", data=USER).status_code == 303
    assert "Sign out" in client.get("/").text
    assert client.post("/logout").status_code == 303
    assert client.get("/api/whoami").status_code == 401


def copy(client):
    """Another client with the same cookie, as a thief has it."""
    other = client.application.test_client()
    other.set_cookie("session", client.get_cookie("session").value)
    return other


def sign_in(app):
    client = app.test_client()
    assert client.post("/login", data=USER).status_code == 303
    return client


def whoami(client, token=None):
    return client.get("/api/whoami", headers=bearer(token) if token else {}).status_code


def test_to_sign_out_ends_the_session_and_not_only_its_cookie(app, user):
    thief, phone = copy(user), sign_in(app)
    assert whoami(thief) == 200
    user.post("/logout")
    assert (whoami(thief), whoami(phone)) == (401, 200)
    assert thief.get_cookie("session") is None


def test_to_sign_out_everywhere_ends_all_sessions_and_tokens(app, user, tokens):
    phone = sign_in(app)
    user.post("/logout", data={"everywhere": "1"})
    assert (whoami(user), whoami(phone), whoami(user, tokens["access_token"])) == (401, 401, 401)
    assert app.test_client().post("/api/token/refresh", headers=bearer(tokens["refresh_token"])).status_code == 401
    assert whoami(sign_in(app)) == 200


def test_a_changed_password_ends_all_sessions_but_the_one_that_changed_it(app, user, tokens):
    thief, new = copy(user), "another one than that"
    refused = user.post("/account", data={"old_password": "not the right one", "password": new})
    assert (refused.status_code, "this is not your password" in refused.text) == (400, True)
    assert user.post("/account", data={"old_password": USER["password"], "password": new}).status_code == 303
    assert (whoami(user), whoami(thief), whoami(thief, tokens["access_token"])) == (200, 401, 401)
    assert app.test_client().post("/login", data=USER).status_code == 400
    assert app.test_client().post("/login", data=USER | {"password": new}).status_code == 303
    assert app.test_client().post("/account").headers["Location"] == "/login"


def test_a_sign_in_that_a_changed_password_overtook_is_over_before_it_begins(app, user):
    with app.test_request_context():
        slow = authenticate(USER)
        assert change_password(find_user(USER["email"]), "another one than that")
        assert sign_ins.find(sign_ins.begin(slow, 60).hex) is None


def test_of_two_changes_of_a_password_at_once_one_counts(app, user):
    with app.test_request_context():
        one, two = find_user(USER["email"]), find_user(USER["email"])
        db.session.close()
        assert change_password(one, "the first one of two")
        assert change_password(two, "the second one of two") is None
        assert authenticate(USER | {"password": "the first one of two"})


def test_a_session_ends_when_it_is_idle_and_not_while_it_is_in_use(make_app, monkeypatch):
    app = make_app(SESSION_IDLE="100")
    user, now = sign_up(app.test_client()), time.time()
    forgotten = copy(user)
    for passed in range(0, 300, 50):
        monkeypatch.setattr("time.time", lambda: now + passed)  # noqa: B023
        assert whoami(user) == 200
    assert whoami(forgotten) == 401
    monkeypatch.setattr("time.time", lambda: now + 352)
    assert whoami(user) == 401


def test_a_session_ends_in_any_case(app, user):
    with app.app_context():
        (session,) = db.session.scalars(db.select(sign_ins.SignIn))
        left = session.expires_at.replace(tzinfo=UTC) - datetime.now(UTC)
        assert timedelta(days=29) < left <= timedelta(days=30)
        session.expires_at -= left
        db.session.commit()
    assert whoami(user) == 401


def test_a_cookie_of_before_there_were_sign_ins_is_a_stranger_s(app, user):
    with user.session_transaction() as session:
        del session["sign_in"]
    assert whoami(user) == 401


def test_what_a_user_keeps_is_bounded_and_what_is_over_goes(app, user, monkeypatch):
    monkeypatch.setattr(sign_ins, "AT_ONCE", 3)
    clients = [sign_in(app) for _ in range(4)]
    assert [whoami(client) for client in (user, *clients)] == [401, 401, 200, 200, 200]
    clients[-1].post("/logout", data={"everywhere": "1"})
    sign_in(app)
    with app.app_context():
        assert db.session.scalar(db.select(db.func.count()).select_from(sign_ins.SignIn)) == 1


def test_a_request_asks_once_who_it_is(app, user, tokens):
    with queries(app) as asked:
        for token in (None, tokens["access_token"]):
            assert whoami(user, token) == 200
    assert len(asked) == 2, asked


def test_what_had_a_session_or_a_token_stays_in_no_cache_and_what_is_for_all_may(app, client, user, tokens):
    by_token = bearer(tokens["access_token"])
    answers = [user.get(path) for path in ("/", "/notes", "/reports", "/account", "/api/notes", "/absent")]
    answers += [user.post("/notes", data={}), client.get("/api/notes", headers=by_token)]
    answers += [client.get("/api/whoami", headers=headers) for headers in (by_token, bearer("x.y.z"))]
    answers.append(app.test_client().post("/login", data=USER))
    for answer in answers:
        assert answer.headers["Cache-Control"] == "private, no-store", answer.request.path
        assert {"Cookie", "Authorization"} <= set(answer.vary), answer.request.path
    for path in ("/", "/notes", "/api/notes", "/login"):
        assert "Cache-Control" not in app.test_client().get(path).headers
    assert "Cookie" not in app.test_client().get("/api/notes").vary
    asked = app.test_client().get("/api/whoami")
    assert {"Cookie", "Authorization"} <= set(asked.vary), "it would be another answer for somebody"


def test_a_view_may_say_otherwise(app, user):
    user.post("/notes", data={"title": "x", "file": (BytesIO(b"text"), "a.txt")})
    assert user.get("/notes/1/file").headers["Cache-Control"] == "no-cache, max-age=0, private"
    assert client_token(app)["Cache-Control"] == "no-store"


def client_token(app):
    return app.test_client().post("/api/token", json=USER).headers


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


@pytest.mark.parametrize("body", [b'{"title": "a", "title": "b"}', b'{"a": {"b": 1, "b": 2}}'])
def test_a_field_that_stands_twice_is_refused(user, body):
    assert user.post("/api/notes", data=body, content_type="application/json").status_code == 400


def test_a_site_in_a_frame_of_another_one_keeps_its_session(make_app):
    settings = {"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": "1"}
    answer = make_app(**settings).test_client().post("/register", data=USER)
    attributes = set(answer.headers["Set-Cookie"].split("; "))
    assert {"SameSite=None", "Secure", "Partitioned"} <= attributes
