"""Signing in over the wire: cookies, tokens, and a change of keys while requests go on."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.tests.stack.conftest import USER, sign_up
from tests.shell import docker, run
from tests.stack.test_uploads import form
from tests.wait import until


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def token(site, kind="access_token"):
    return site.post_json("/api/token", USER).json[kind]


def test_a_stranger_reads_and_does_not_write(stack):
    assert stack.stranger.get("/api/notes").status == 200
    assert stack.stranger.post_json("/api/notes", {"title": "stranger"}).status == 401
    assert stack.stranger.post_form("/notes", title="stranger").headers["Location"] == "/login"


def test_the_cookie_is_for_this_host_by_https_and_not_for_scripts(prod):
    answer = prod.stranger.post_form("/login", **USER)
    value, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert value.startswith("__Host-session=")
    assert set(attributes) == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}


def test_a_page_for_a_user_is_kept_by_no_shared_cache(stack):
    assert "Cookie" in ", ".join(stack.site.get("/notes").headers.get_all("Vary"))


def revoke(stack, token):
    return stack.stranger.request("POST", "/api/token/revoke", headers=bearer(token)).status


def refresh(stack, token):
    return stack.stranger.request("POST", "/api/token/refresh", headers=bearer(token))


def test_a_token_works_until_it_is_revoked_and_a_restart_brings_it_not_back(stack):
    tokens = refresh(stack, token(stack.stranger, "refresh_token")).json
    access = bearer(tokens["access_token"])
    assert stack.stranger.get("/api/whoami", headers=access).json["email"] == USER["email"]
    assert revoke(stack, tokens["refresh_token"]) == 204
    assert stack.stranger.get("/api/whoami", headers=access).status == 401
    stack.compose("restart", "redis", "app")
    stack.await_health("ok")
    assert stack.stranger.get("/api/whoami", headers=access).status == 401
    assert refresh(stack, tokens["refresh_token"]).status == 401


def test_of_many_refreshes_with_one_token_at_once_one_counts_and_the_family_ends(prod):
    first = token(prod.stranger, "refresh_token")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: refresh(prod, first), range(8)))
    good = [answer for answer in answers if answer.status == 200]
    assert (len(good), {answer.status for answer in answers}) == (1, {200, 401})
    assert prod.stranger.get("/api/whoami", headers=bearer(good[0].json["access_token"])).status == 401


def test_while_redis_is_away_tokens_and_sessions_go_on_and_can_be_ended(stack):
    access = token(stack.stranger)
    with stack.without("redis"):
        assert stack.stranger.get("/api/whoami", headers=bearer(access)).status == 200
        assert stack.site.get("/api/whoami").status == 200
        assert revoke(stack, access) == 204
        assert stack.stranger.get("/api/whoami", headers=bearer(access)).status == 401


def test_a_copied_cookie_is_worth_nothing_after_sign_out(stack):
    user = sign_up(stack.stranger, "leaver@example.test")
    assert user.get("/api/whoami").status == 200
    assert user.request("POST", "/logout").status == 303
    assert user.get("/api/whoami").status == 401


def test_what_is_for_one_person_stays_in_no_cache_downloads_by_nginx_included(stack):
    body, headers = form({"title": "private"}, "private.txt", b"text")
    note = stack.site.request("POST", "/api/notes", body=body, headers=headers).json["id"]
    for path in ("/", "/notes", "/api/whoami"):
        assert stack.site.get(path).headers.get_all("Cache-Control") == ["private, no-store"]
    download = stack.site.get(f"/notes/{note}/file")
    assert download.body == b"text"
    assert "private" in download.headers["Cache-Control"]
    assert stack.stranger.get("/api/whoami", headers=bearer(token(stack.stranger))).headers["Vary"]
    assert stack.stranger.get("/notes").headers["Cache-Control"] is None
    assert "immutable" in (stack.site.get(asset(stack)).headers["Cache-Control"] or "") or not stack.site.tls


def asset(stack):
    return re.search(r"/static/[^\"]+\.css", stack.site.get("/").text)[0]


# PostgreSQL counts characters, and takes neither NUL nor half of a surrogate pair.
ODD = ["\0", "\ud800", "\udc00\ud800", "İ", "ŉ", "ﬁ", "\u0301", "\u202e", "\U0001f642", "\U0010ffff", "a"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/register", USER),
        ("/login", USER),
        ("/api/token", USER),
        ("/notes", ["title"]),
        ("/api/notes", ["title", "body"]),
    ],
)
def test_no_text_in_any_field_is_an_error_with_postgresql(prod, path, names):
    for odd in ODD:
        for length in (1, 126, 200, 254, 10_000):
            for text in (odd * length, f"{odd * length}@example.test"):
                fields = dict.fromkeys(names, text)
                if path.startswith("/api"):
                    answer = prod.site.post_json(path, fields)
                else:
                    encoded = {name: value.encode(errors="surrogatepass") for name, value in fields.items()}
                    answer = prod.site.post_form(path, **encoded)
                assert answer.status < 500, (ascii(odd), length)


def test_a_user_is_disabled_and_enabled_on_the_command_line(prod):
    user = sign_up(prod.stranger, "disabled@example.test")

    def flask(command):
        prod.exec("app", "flask", "user", command, "disabled@example.test")

    flask("disable")
    assert user.get("/api/whoami").status == 401
    wrong = {"email": "disabled@example.test", "password": USER["password"]}
    assert prod.stranger.post_json("/api/token", wrong).status == 401
    flask("enable")
    assert prod.stranger.post_json("/api/token", wrong).status == 200


def test_another_key_signs_without_a_lost_request_and_tokens_of_the_former_stay_good(prod):
    old = bearer(token(prod.stranger))
    stop, statuses = threading.Event(), []

    def ask():
        while not stop.is_set():
            statuses.append(prod.stranger.get("/api/whoami", headers=old).status)

    def keys():
        return prod.stranger.get("/.well-known/jwks.json").json["keys"]

    def all_have_the_new_key():  # for a moment workers of before answer too
        return all(len(keys()) == 2 for _ in range(20))

    (before,) = keys()
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        rotate = ("make", "-C", str(prod.folder), "jwt-rotate")
        run(*rotate, timeout=600, COMPOSE_PROJECT_NAME=prod.project, **prod.environment)
        until(all_have_the_new_key)
    finally:
        stop.set()
        asking.join()
    new, former = keys()
    assert (former, new["kid"] != before["kid"]) == (before, True)
    assert set(statuses) == {200}
    for good in (old, bearer(token(prod.stranger))):
        assert prod.stranger.get("/api/whoami", headers=good).status == 200


def test_users_are_made_by_make(dev):
    command = ("user", "create", "made@example.test", "--password", "correct horse battery")
    assert "is there" in dev.exec("app", "flask", *command)
    answer = dev.stranger.post_json("/api/token", USER | {"email": "made@example.test"})
    assert answer.status == 200


def test_no_private_key_is_in_the_image_or_the_environment(prod):
    image = prod.inspect("app")["Image"]
    assert "PRIVATE KEY" not in docker("history", "--no-trunc", image)
    assert "PRIVATE KEY" not in docker("inspect", prod.container("app"))
