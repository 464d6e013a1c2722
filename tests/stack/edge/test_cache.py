"""Pages that nginx keeps: strangers share them, and whatever is one person's is never among them."""

import http.client
import time
from contextlib import ExitStack, contextmanager
from shlex import quote
from uuid import uuid4

import httpx
import pytest

from tests.stack.conftest import DOMAIN, nginx_with
from tests.stack.test_logs import logged
from tests.wait import until

CROWD = 50
MOMENT = 3  # seconds that /public/moment is good for
ONE_PERSONS = "Zk29canaryQx7"
NOBODY = "0.0.0.0"  # noqa: S104 - nginx/http/pages.conf.template


def fresh(path="/public/minute", **query):
    """An address that nobody has asked for yet."""
    return f"{path}?{'&'.join(f'{name}={value}' for name, value in {'test': uuid4().hex, **query}.items())}"


def warm(prod, address):
    """The address, kept: what a stranger was answered first."""
    first, second = prod.site.get(address), prod.site.get(address)
    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("MISS", "HIT")
    assert first.body == second.body
    return first


def warm_for_a_moment(prod, **query):
    """Its address, and the page; again where the machine was too slow for a second look within the moment."""

    def warmed():
        address = fresh("/public/moment", **query)
        return address, warm(prod, address).body

    return until(warmed)


def asked(prod, address):
    """How often the application was asked for it."""
    return int(prod.redis("get", quote(f"probe:{address}")) or 0)


def expire(moment=MOMENT):
    """Until what was asked for before is no longer good; nginx counts in whole seconds."""
    since = time.monotonic()
    until(lambda: time.monotonic() > since + moment + 1.1)


def crowd(prod, address):
    """What each of them was told about the cache: they have come, and then all of them ask."""
    with ExitStack() as stack:
        connections = [stack.enter_context(prod.site.connect()) for _ in range(CROWD)]
        for connection in connections:
            connection.sendall(f"GET {address} HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n".encode())
        answers = [http.client.HTTPResponse(connection) for connection in connections]
        for answer in answers:
            answer.begin()
            assert answer.status == 200
    return [answer.headers["X-Cache"] for answer in answers]


def test_strangers_share_one_answer_and_nobody_in_between_is_told_to_keep_it(prod):
    first = warm(prod, address := fresh())
    again = prod.site.get(address)
    assert asked(prod, address) == 1
    for answer in (first, again):
        assert "Cache-Control" not in answer.headers
        assert "Cookie" in ", ".join(answer.headers.get_all("Vary"))
    assert again.headers["ETag"] == first.headers["ETag"]
    unchanged = prod.site.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (unchanged.status, unchanged.body, unchanged.headers["X-Cache"]) == (304, b"", "HIT")


def test_each_answer_has_an_id_of_its_own_and_a_line_that_says_where_it_came_from(prod):
    address = fresh()
    answers = [prod.site.get(address), prod.site.get(address)]
    ids = [answer.headers.get_all("X-Request-ID") for answer in answers]
    assert ids[0] != ids[1]
    lines = [logged(lambda: prod.logs("nginx"), request_id=identity) for (identity,) in ids]
    assert [line["cache"] for line in lines] == ["MISS", "HIT"]
    assert lines[0]["upstream"]
    assert lines[1]["upstream"] == "", "the application was not asked"


def test_a_kept_page_has_each_security_header_of_the_site_and_is_compressed(prod):
    address = fresh()
    for state in ("MISS", "HIT"):
        headers = prod.site.get(address, headers={"Accept-Encoding": "gzip"}).headers
        assert (headers["X-Cache"], headers["Content-Encoding"]) == (state, "gzip")
        for name in ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Permissions-Policy"):
            assert len(headers.get_all(name)) == 1, name
        assert "Accept-Encoding" in headers["Vary"]
        assert "X-Edge-Cache" not in headers
    assert "Content-Encoding" not in prod.site.get(address).headers


# Whatever a client may send, and nothing of it is in the key.
UNKEYED = """Accept Accept-Language Cache-Control Forwarded From Pragma Referer TE User-Agent Via X-Api-Key X-Auth-Token
X-Edge-Cache X-Forwarded-For X-Forwarded-Host X-Forwarded-Prefix X-Forwarded-Proto X-Forwarded-Scheme X-Host
X-HTTP-Method-Override X-Original-URL X-Real-IP X-Request-ID X-Rewrite-URL X-User"""


def test_the_application_is_asked_in_nobody_s_name(prod):
    sent = dict.fromkeys(UNKEYED.split(), ONE_PERSONS)
    sent |= {"Cookie": f"theme={ONE_PERSONS}", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "evil.test"}
    sent |= {"If-None-Match": f'"{ONE_PERSONS}"', "If-Modified-Since": "Sat, 01 Jan 2050 00:00:00 GMT"}
    answer = prod.site.get(address := fresh(), headers=sent)
    assert answer.headers["X-Cache"] == "MISS"
    seen = answer.json
    assert seen["headers"].keys() == {"Host", "Connection", "X-Edge-Cache", "X-Real-Ip", "X-Request-Start"} | {
        name for name in seen["headers"] if name.startswith("X-Forwarded-")
    }
    assert (seen["address"], seen["url"]) == (NOBODY, f"https://{DOMAIN}{address}")
    for text in (ONE_PERSONS, "203.0.113.9", "evil.test"):
        assert text not in answer.text
    assert prod.site.get(address).body == answer.body


@pytest.mark.parametrize(
    "header",
    [
        "Cookie: __Host-session=eyJ1c2VyIjoxfQ.x",
        "Cookie: session=x",
        "Cookie: theme=dark; session=x",
        "Cookie: theme=dark;session=x",
        "Cookie: SESSION=x",
        "Cookie: theme=dark; remember_token=1|x",
        "Cookie: access_token_cookie=x",
        "Cookie: connect.sid=x",
        "Cookie: PHPSESSID=x",
        "Cookie: flask_login=x",
        "Authorization: Bearer x",
        "Authorization: Basic dTpw",
        "authorization: bearer x",
        "Origin: https://other.test",
        "Upgrade: h2c",
    ],
)
def test_who_may_be_somebody_is_answered_by_the_application_and_his_page_is_not_kept(prod, header):
    name, _, value = header.partition(": ")
    his = {name: value, "X-Edge-Cache": "fill"}  # which nginx alone may say
    address = fresh()
    assert prod.site.get(address, headers=his).headers["X-Cache"] == "BYPASS"
    warm(prod, address)
    answer = prod.site.get(address, headers=his)
    assert answer.headers["X-Cache"] == "BYPASS"
    assert "s-maxage" not in answer.headers.get("Cache-Control", "")
    assert asked(prod, address) == 3
    if name != "Upgrade":
        assert answer.json["headers"][name.title()] == value
    assert prod.site.get(address).json["answered"] == 2, "that of the strangers"


def test_two_cookie_headers_are_one(prod):
    warm(prod, address := fresh())
    head = f"GET {address} HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n"
    assert b"X-Cache: BYPASS\r\n" in prod.site.send(f"{head}Cookie: theme=dark\r\nCookie: session=x\r\n\r\n".encode())
    assert b"X-Cache: HIT\r\n" in prod.site.send(f"{head}Cookie: theme=dark\r\n\r\n".encode())


@pytest.mark.parametrize("cookie", ["theme=dark", "_ga=GA1.1.1; consent=yes", "odd", "=;="])
def test_a_cookie_that_is_no_session_is_a_stranger_s(prod, cookie):
    warm(prod, address := fresh())
    answer = prod.site.get(address, headers={"Cookie": cookie})
    assert (answer.headers["X-Cache"], asked(prod, address)) == ("HIT", 1)


def test_a_body_is_in_no_kept_page(prod):
    address = fresh()
    for _ in range(2):
        answer = prod.site.get(address, body=ONE_PERSONS)
        assert (answer.headers["X-Cache"], answer.json["body"]) == ("BYPASS", ONE_PERSONS)
    assert warm(prod, address).json["body"] == ""


def test_nor_one_of_which_http_2_does_not_say_how_long_it_is(prod):
    address = fresh()
    with httpx.Client(http2=True, verify=False, trust_env=False) as client:  # noqa: S501
        url = f"https://{prod.site.address}:{prod.site.port}{address}"
        options = {"headers": {"Host": DOMAIN}, "extensions": {"sni_hostname": DOMAIN}}
        answer = client.request("GET", url, content=iter([ONE_PERSONS.encode()]), **options)
    assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
    assert ONE_PERSONS not in answer.text
    assert ONE_PERSONS not in prod.site.get(address).text


@pytest.mark.parametrize(
    "query",
    [
        {"cookie": 1},
        {"session": 1},
        {"nonce": 1},
        {"id": 1},
        {"status": 201},
        {"status": 404},
        {"status": 500},
        {"Cache-Control": "private"},
        {"Cache-Control": "no-store"},
        {"Cache-Control": "no-cache"},
        {"Vary": "*"},
    ],
    ids=str,
)
def test_an_answer_is_not_kept_that_has_something_of_one_person(prod, query):
    address = fresh(**query)
    for _ in range(2):
        answer = prod.site.get(address)
        assert answer.headers["X-Cache"] == "BYPASS"
        assert "s-maxage" not in answer.headers.get("Cache-Control", "")
    if "nonce" not in query:
        assert asked(prod, address) == 2
    if "id" in query:
        assert answer.json["id"] == answer.headers["X-Request-ID"]


def test_nor_one_of_a_user_and_the_log_says_why(prod):
    somebody = prod.site.post_json("/api/items", {"name": "somebody"}).json["id"]
    address = fresh(user=somebody)
    assert [prod.site.get(address).headers["X-Cache"] for _ in range(2)] == ["BYPASS"] * 2
    said = "public.minute is public_for strangers, but not kept, because it is of a user"
    until(lambda: said in prod.logs("app"))


KEEP = "public, s-maxage=60"


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({"Cache-Control": KEEP}, True),
        ({"Cache-Control": "s-maxage=60,PUBLIC"}, True),
        ({"Cache-Control": "s-maxage=60"}, False),
        ({"Cache-Control": "max-age=60"}, False),
        ({"Cache-Control": "public, max-age=60"}, False),
        ({"Cache-Control": "public, s-maxage=0"}, False),
        ({"Cache-Control": f"{KEEP}, private"}, False),
        ({"Cache-Control": f"{KEEP}, no-store"}, False),
        ({"Cache-Control": f"{KEEP}, no-cache"}, False),
        ({"Cache-Control": KEEP, "Set-Cookie": "visitor=first"}, False),
        ({"Cache-Control": KEEP, "X-CSP-Nonce": "abcdefghijklmnopqrstuv"}, False),
        ({"Cache-Control": KEEP, "Vary": "*"}, False),
        ({"Cache-Control": KEEP, "status": 404}, False),
        ({"Cache-Control": KEEP, "status": 500}, False),
        ({"Cache-Control": KEEP, "status": 301}, False),
        ({"Expires": "Sat, 01 Jan 2050 00:00:00 GMT"}, False),
        ({"X-Accel-Expires": "60"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_headers_set_by_hand_are_taken_at_their_word(prod, headers, kept):
    address = fresh("/public/by-hand", **headers).replace(" ", "%20")
    for _ in range(2):
        answer = prod.site.get(address)
        assert "s-maxage" not in answer.headers.get("Cache-Control", "")
    assert answer.headers["X-Cache"] == ("HIT" if kept else "BYPASS")


def test_an_address_that_is_not_named_is_never_kept_whatever_the_view_says(prod):
    """And one that is named is not, where the view says nothing."""
    address = fresh("/public/-/not-named", **{"Cache-Control": KEEP}).replace(" ", "%20")
    for _ in range(2):
        answer = prod.site.get(address)
        assert (answer.status, "X-Cache" in answer.headers) == (200, False)
    for name, value in (("Cookie", "session=x"), ("Authorization", "1"), ("Origin", "1:")):
        assert prod.site.get("/headers", headers={name: value}).json[name.lower()] == [value]
    undecorated = fresh("/public/undecorated")
    assert [prod.site.get(undecorated).headers["X-Cache"] for _ in range(2)] == ["BYPASS"] * 2
    assert (asked(prod, address), asked(prod, undecorated)) == (2, 2)


def test_the_key_is_all_that_the_application_is_told(prod):
    """Each of these is an answer of its own, and says what it was asked for."""
    mark = uuid4().hex
    for address in (
        f"/public/minute?a={mark}&b=2",
        f"/public/minute?b=2&a={mark}",
        f"/public/minute?a={mark}&b=2&",
        f"/public/minute?a={mark}&b=%32",
        f"/public/%6dinute?a={mark}&b=2",
    ):
        warm(prod, address)
        assert prod.site.get(address).json["query"] == address.partition("?")[2]


def test_another_host_or_port_has_its_own(prod):
    address = fresh()
    for host in (DOMAIN, f"{DOMAIN}:9999", DOMAIN.upper()):
        assert prod.site.get(address, host=host).json["host"] == host.lower()
    for host in (DOMAIN, f"{DOMAIN}:9999"):
        answer = prod.site.get(address, host=host)
        assert (answer.headers["X-Cache"], answer.json["host"]) == ("HIT", host)
    absolute = f"GET https://{DOMAIN}:9999{address} HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"
    assert b"evil.test" not in prod.site.send(absolute.encode())
    assert prod.site.get(address).json["host"] == DOMAIN


def test_the_other_door_is_a_redirect_as_before(prod):
    warm(prod, address := fresh())
    assert prod.http.get(address).status == 308
    assert prod.site.get(address, host=f"www.{DOMAIN}").status == 308


def test_vary_makes_no_second_answer_because_nothing_was_sent_that_it_could_vary_by(prod):
    address = fresh(Vary="Accept-Language")
    answers = [prod.site.get(address, headers={"Accept-Language": language}) for language in ("de", "fr")]
    assert [answer.headers["X-Cache"] for answer in answers] == ["MISS", "HIT"]
    for answer in answers:
        assert "Accept-Language" not in answer.json["headers"]
        assert "Accept-Language" in ", ".join(answer.headers.get_all("Vary"))


def test_head_or_a_range_that_comes_first_leaves_the_whole(prod):
    address = fresh()
    head = prod.site.request("HEAD", address)
    assert (head.status, head.body, head.headers["X-Cache"]) == (200, b"", "MISS")
    whole = prod.site.get(address)
    assert (whole.headers["X-Cache"], len(whole.body)) == ("HIT", int(head.headers["Content-Length"]))

    address = fresh()
    answer = prod.site.get(address, headers={"Range": "bytes=2-9"})
    assert (answer.status, answer.headers["X-Cache"]) == (200, "MISS"), "as RFC 9110, 14.2 allows"
    whole = prod.site.get(address)
    assert (whole.body, whole.headers["X-Cache"]) == (answer.body, "HIT")


def test_a_write_is_no_read(prod):
    address = fresh()
    for _ in range(2):
        assert prod.site.request("POST", address, body="x").json["body"] == "x"
    warm(prod, address)
    assert prod.site.request("POST", address, body="x").headers["X-Cache"] == "BYPASS"
    assert prod.site.request("DELETE", address).status == 405


def test_the_application_says_when_pages_have_changed(prod):
    address = fresh()
    warm(prod, address)
    assert prod.site.request("POST", "/public/forget").status == 204
    assert prod.site.get(address).headers["X-Cache"] == "MISS"
    warm(prod, fresh())
    prod.exec("worker", "python", "-c", "from flagstone.live import forget_pages; forget_pages()")
    answer = prod.site.get(address)
    assert (answer.headers["X-Cache"], answer.json["answered"]) == ("MISS", 3)


def test_a_release_empties_it(prod):
    warm(prod, address := fresh())
    prod.switch(prod.container("app"))
    answer = prod.site.get(address)
    assert (answer.headers["X-Cache"], answer.json["answered"]) == ("MISS", 2)


def test_while_it_can_not_tell_what_is_of_today_nothing_is_kept(prod):
    """As before the first start of an application."""
    address = fresh()
    prod.exec("app", "mv", "/run/app/pages", "/run/app/.pages")
    try:
        for _ in range(2):
            assert prod.site.get(address).headers["X-Cache"] == "BYPASS"
    finally:
        prod.exec("app", "mv", "/run/app/.pages", "/run/app/pages")
    warm(prod, address)


def test_a_crowd_at_an_address_that_nobody_has_asked_for_asks_once(prod):
    address = fresh(seconds=0.3)
    assert crowd(prod, address).count("MISS") == 1
    assert asked(prod, address) == 1


def test_a_crowd_at_one_that_has_expired_asks_once_and_is_shown_the_former_meanwhile(prod):
    def seen():
        address, _ = warm_for_a_moment(prod, seconds=0.5)
        expire()
        states = crowd(prod, address)
        return (states.count("MISS"), "STALE" in states, asked(prod, address))

    until(lambda: seen() == (1, True, 2), what="one MISS, and what is new is good for longer than the crowd takes")


@contextmanager
def failing(prod):
    prod.redis("set", "probe:fails", "1")
    try:
        yield
    finally:
        prod.redis("del", "probe:fails")


def test_an_application_that_fails_goes_on_showing_what_it_had(prod):
    address, body = warm_for_a_moment(prod, fails=1)
    expire()
    with failing(prod):
        answer = prod.site.get(address)
        assert (answer.status, answer.headers["X-Cache"], answer.body) == (200, "STALE", body)
        assert prod.site.get(fresh("/public/moment", fails=1)).status == 500
    assert prod.site.get(address).headers["X-Cache"] == "MISS"


def test_so_does_one_that_is_gone(prod):
    good = fresh()
    warm(prod, good)
    expired, body = warm_for_a_moment(prod)
    with prod.without("app"):
        until(lambda: prod.site.get("/").status == 502)
        expire()
        for _ in range(2):
            answer = prod.site.get(expired)
            assert (answer.status, answer.headers["X-Cache"], answer.body) == (200, "STALE", body)
        assert prod.site.get(good).headers["X-Cache"] == "HIT"
        assert prod.site.get(good, headers={"Cookie": "session=x"}).status == 502
        unknown = prod.site.get(fresh())
        assert (unknown.status, unknown.headers.get_all("Cache-Control")) == (502, ["no-store"])


def test_kept_pages_count_against_the_limits_as_others_do(prod):
    address = fresh()
    with nginx_with(prod, RATE_LIMIT="1r/m"):
        answers = [prod.site.get(address) for _ in range(110)]
    statuses = [answer.status for answer in answers]
    assert statuses.count(200) <= 101, "the first, and its burst"
    assert statuses[-1] == 429
    assert answers[50].headers["X-Cache"] == "HIT"
    assert answers[-1].headers.get_all("Cache-Control") == ["no-store"]


def test_it_has_a_size_and_of_size_0_there_is_none(prod):
    def files():
        return len(prod.exec("nginx", "find", "/var/cache/nginx/pages", "-type", "f").split())

    with nginx_with(prod, EDGE_CACHE_SIZE="256k"):
        former = files()  # which it counts a minute after its start
        for _ in range(120):
            prod.site.get(fresh())  # 4 KB each
        until(lambda: files() <= former + 64)
        warm(prod, fresh())
    with nginx_with(prod, EDGE_CACHE_SIZE="0"):
        address = fresh()
        answers = [prod.site.get(address) for _ in range(2)]
        assert not any("X-Cache" in answer.headers for answer in answers)
        assert asked(prod, address) == 2


def test_development_shows_an_edit_at_once(dev):
    address = fresh()
    assert [dev.site.get(address).json["answered"] for _ in range(2)] == [1, 2]
