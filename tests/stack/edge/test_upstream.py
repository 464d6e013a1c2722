"""What passes between a client and the application as it was meant: large headers, events, streams, WebSockets."""

import http.client
import re
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.shell import docker
from tests.stack.browser import browser
from tests.stack.conftest import DOMAIN, networks
from tests.wait import until

EDGE = 16 * 1024  # nginx/site/proxy.conf
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
ACCEPTED = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # the answer to that key, of RFC 6455, 1.3
GOING_AWAY = b"\x88\x02" + (1001).to_bytes(2)


@contextmanager
def websocket(site, **headers):
    """A connection after its handshake, and what that was answered with."""
    head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": site.host, **HANDSHAKE, **headers}.items())
    with site.connect() as connection:
        connection.sendall(f"GET /websocket HTTP/1.1\r\n{head}\r\n".encode())
        yield connection, connection.recv(65536)


def echo(connection, text):
    connection.sendall(bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text)
    return connection.recv(1000)


def test_a_full_session_cookie_and_further_headers_pass_up_to_16_kb(prod):
    assert prod.site.get(f"/large-headers?bytes={EDGE - 1000}").status == 200
    assert prod.site.get(f"/large-headers?bytes={EDGE + 1000}").status == 502


@pytest.mark.parametrize("kind", ["", "&type=text/html&buffering=no"])
def test_an_event_and_a_part_of_a_stream_arrive_when_they_are_sent(prod, kind):
    def gaps():
        connection = http.client.HTTPConnection(prod.site.host)
        connection.sock = prod.site.connect()
        connection.request("GET", f"/events?events=3{kind}", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        arrived, unpack = [], zlib.decompressobj(31).decompress if answer.headers["Content-Encoding"] else bytes
        while part := answer.read1():
            arrived += [time.monotonic()] * unpack(part).count(b"data")
        connection.close()
        assert len(arrived) == 3
        return [later - earlier for earlier, later in pairwise(arrived)]

    until(lambda: min(gaps()) > 0.5, what="one a second, not all at the end")


def test_a_websocket_passes_and_the_next_request_of_anybody_does_too(prod):
    with websocket(prod.site) as (connection, answer):
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert ACCEPTED in answer
        assert echo(connection, b"hello") == b"\x81\x05hello"
        assert prod.site.get("/health/live").status == 200
        assert echo(connection, b"again") == b"\x81\x05again"


def test_a_websocket_of_another_site_s_page_is_refused(prod):
    """Browsers open it from anywhere, with cookies: cross-site WebSocket hijacking."""
    for headers in ({"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}):
        with websocket(prod.site, **headers) as (_, answer):
            assert answer.startswith(b"HTTP/1.1 403 ")
    with websocket(prod.site, Origin=f"https://{prod.site.host}") as (_, answer):
        assert answer.startswith(b"HTTP/1.1 101 ")


def test_a_browser_opens_one_from_a_page_of_the_site_and_from_no_other(prod):
    opened = """() => new Promise(done => {
        const socket = new WebSocket("wss://%s/websocket");
        socket.onopen = () => socket.send("hello");
        socket.onmessage = event => done(event.data);
        socket.onclose = event => done(event.code);
    })"""
    with browser(prod) as chromium, networks():
        page = chromium.new_context(ignore_https_errors=True).new_page()
        page.route("https://evil.test/", lambda route: route.fulfill(body="another site"))
        page.goto(f"https://{DOMAIN}/health/live")
        assert page.evaluate(opened % DOMAIN) == "hello"
        page.goto("https://evil.test/")
        assert page.evaluate(opened % DOMAIN) == 1006, "closed before it was open"


def test_no_other_protocol_is_switched_to(prod):
    upgrade = {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABkAARAAAAA"}
    seen = prod.site.get("/headers", headers=upgrade)
    assert (seen.status, "upgrade" in seen.json) == (200, False)


def test_a_request_with_a_body_may_wait_in_the_application_as_before(prod):
    assert prod.site.request("POST", "/wait?seconds=0").status == 200


def test_a_websocket_may_be_silent_for_longer_than_an_answer(prod):
    rendered = prod.exec("nginx", "cat", "/etc/nginx/site/application.conf")
    silence = re.findall(r"location (@\w+) \{[^}]*proxy_read_timeout (\w+);", rendered)
    assert dict(silence) == {"@app": "60s", "@websocket": "10m"}
    assert "60 s" in Path("docs/operations.md").read_text().split("## Long connections")[1]


def test_a_stop_of_the_application_says_good_bye_to_websockets_and_does_not_wait_for_them(prod):
    app = prod.container("app")
    with websocket(prod.site) as (connection, _):
        assert echo(connection, b"hello") == b"\x81\x05hello"
        try:
            started = time.monotonic()
            docker("stop", "--time", "60", app)
            assert time.monotonic() - started < 28, "graceful_timeout is 30 s"
            assert connection.recv(1000) == GOING_AWAY
            assert connection.recv(1000) == b""
        finally:
            docker("start", app)
            prod.await_health("ok")


def test_of_a_crowd_that_cannot_be_served_most_are_told_at_once_and_the_site_goes_on(prod):
    beside, served_all_the_time = set(), ("/health", "/health/live", "/static/style.css")

    def visit(number):
        path = served_all_the_time[number % 3]
        for _ in range(4):
            answer = prod.site.get("/compute?seconds=0.1")
            if answer.status == 503:
                beside.add((path, prod.site.get(path).status))
            yield answer

    with ThreadPoolExecutor(150) as pool:
        answers = [answer for each in pool.map(lambda number: [*visit(number)], range(150)) for answer in each]
    refused = [answer for answer in answers if answer.status != 200]
    assert {answer.status for answer in refused} == {503}
    assert beside == {(path, 200) for path in served_all_the_time}
    assert {answer.headers["Retry-After"] for answer in refused} == {"5"}
    assert "The site is busy" in refused[0].text
    assert len(refused) > 100, len(refused)
    assert len(answers) - len(refused) > 20, "those who waited were served"
    until(lambda: prod.site.get("/compute?seconds=0.05").status == 200)
    told = [line for line in prod.logs("app").splitlines() if "More comes than can be served" in line]
    assert 1 <= len(told) <= 8, "once a minute by each process"


def test_nobody_but_nginx_says_for_how_long_a_request_has_waited(prod):
    (start,) = prod.site.get("/headers", headers={"X-Request-Start": "1"}).json["x-request-start"]
    assert abs(time.time() - float(start)) < 60
