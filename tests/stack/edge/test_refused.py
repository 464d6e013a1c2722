"""What nginx refuses never reaches the application."""

import json
import re
from dataclasses import replace

import pytest

from tests.wait import until

LIMIT = 10 * 1024 * 1024

REFUSED_PATHS = [
    "/static/../app/config.py",
    "/static/%2e%2e/app/config.py",
    "/static/%2e%2e%2fapp/config.py",
    "/static/..%2fapp/config.py",
    "/static/..%5capp/config.py",
    "/../../etc/passwd",
    "/static/./../x",
    "/.git/config",
    "/.env",
    "/static/.hidden",
    "/%2egit/config",
    "/app/config.py~",
    "/items/backup.sql",
    "/index.html.bak",
    "/.index.html.swp",
    "/a%00b",
]

REFUSED_REQUESTS = {
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.test\r\n\r\n",
    "a NUL in the path": b"GET /\x00 HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "an oversized header": b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + b"x" * 40000 + b"\r\n\r\n",
    "an oversized path": b"GET /" + b"x" * 40000 + b" HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "chunked garbage": b"POST /api/items HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
    "two lengths": b"POST /api/items HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"POST /api/items HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no HTTP at all": b"\x16\x03\x01 hello\r\n\r\n",
    "a space in a header's name": b"GET / HTTP/1.1\r\nHost: {host}\r\nX Y: z\r\n\r\n",
}


def api(*headers, line=b"GET /api/items HTTP/1.1", body=b""):
    """A request that nginx, or gunicorn behind it, refuses for its form."""
    return b"\r\n".join((line, b"Host: {host}", b"Connection: close", *headers, b"", body))


def of(count, size=1):
    return [b"X-%d: " % number + b"x" * size for number in range(count)]


# What nginx passes, at its limits (nginx/http/request-size.conf.template), gunicorn takes.
TAKEN = {
    "a line of 16 KB": api(line=b"GET /api/items?q=" + b"x" * 16_300 + b" HTTP/1.1"),
    "a cookie of 16 KB": api(b"Cookie: a=" + b"x" * 16_300),
    "98 headers": api(*of(98)),
    "headers of 40 KB": api(*of(40, 1000)),
}
# What is beyond them, or in no form that gunicorn takes: the status, and whether nginx knows that it is the API's.
REFUSED_WITH_OUR_PAGE = {
    "a line of 17 KB": (414, False, api(line=b"GET /api/items?q=" + b"x" * 17_000 + b" HTTP/1.1")),
    "a cookie of 17 KB": (431, True, api(b"Cookie: a=" + b"x" * 17_000)),
    "101 headers": (431, True, api(*of(99))),
    "headers of 60 KB": (431, True, api(*of(60, 1000))),
    "no Host": (400, False, b"GET / HTTP/1.1\r\n\r\n"),
    "no HTTP": (400, False, b"\x16\x03\x01 hello\r\n\r\n"),
    "HTTP/9.9": (505, False, api(line=b"GET /api/items HTTP/9.9")),
    "an encoding that nobody knows": (501, True, api(b"Transfer-Encoding: xchunked")),
    "a condition that fails": (412, False, api(b'If-Match: "x"', line=b"GET /static/style.css HTTP/1.1")),
    # From here on it is gunicorn that refuses.
    "a control character in a header": (400, True, api(b"X: a\x01b")),
    "two types": (400, True, api(b"Content-Type: text/plain", b"Content-Type: text/html")),
    "bytes that are not encoded": (400, True, api(line=b"GET /api/items?q=\xc3\xbc HTTP/1.1")),
    "a method of one letter": (400, True, api(line=b"A /api/items HTTP/1.1")),
}


def reached_the_application(stack, request_id):
    """Whether nginx's log line of this request names an upstream."""

    def logged():
        lines = [line for line in stack.logs("nginx").splitlines() if request_id in line and line.startswith("{")]
        return [json.loads(line)["upstream"] for line in lines]

    (upstream,) = until(logged, what=f"a log line of {request_id}")
    return upstream != ""


@pytest.mark.parametrize("path", REFUSED_PATHS)
def test_a_path_that_nobody_asks_for_in_earnest_is_refused(stack, path):
    answer = stack.site.get(path)
    assert answer.status in (400, 404)
    assert not reached_the_application(stack, answer.headers["X-Request-ID"])


@pytest.mark.parametrize("what", REFUSED_REQUESTS)
def test_a_malformed_request_is_refused(stack, what):
    received = stack.site.send(REFUSED_REQUESTS[what].replace(b"{host}", stack.site.host.encode()))
    assert received.split(b" ", 2)[1].startswith(b"4"), received[:200]
    request_id = re.search(rb"(?i)\r\nX-Request-ID: (\S+)", received)[1].decode()
    assert not reached_the_application(stack, request_id)


@pytest.mark.parametrize("what", TAKEN)
def test_what_nginx_takes_at_its_limits_the_application_takes_too(stack, what):
    received = stack.site.send(TAKEN[what].replace(b"{host}", stack.site.host.encode()))
    assert received.startswith(b"HTTP/1.1 200 "), received[:200]


@pytest.mark.parametrize("what", REFUSED_WITH_OUR_PAGE)
def test_whoever_refuses_it_is_our_page_that_says_so_with_the_request_s_id(stack, what):
    status, json_like, request = REFUSED_WITH_OUR_PAGE[what]
    received = stack.site.send(request.replace(b"{host}", stack.site.host.encode()))
    head, _, body = received.decode().partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} "), head
    (request_id,) = re.findall(r"^X-Request-ID: (\w+)", head, re.MULTILINE)
    assert request_id in body
    assert (f'{{"error":{{"status":{status},' in body) == json_like
    assert "Back to the start" in body or json_like
    assert len(re.findall("^Content-Security-Policy: ", head, re.MULTILINE)) == 1


def test_a_request_that_cannot_be_read_is_answered_so_on_port_80_too(prod):
    for raw in (b"GET / HTTP/1.1\r\n\r\n", REFUSED_WITH_OUR_PAGE["a line of 17 KB"][2]):
        assert b"Back to the start" in prod.http.send(raw)
    plain = replace(prod.site, tls=False)
    assert b"Back to the start" in plain.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "no TLS where it has to be"


def test_a_body_over_the_limit_is_refused_before_it_is_read(stack):
    answer = stack.site.request("POST", "/api/items", headers={"Content-Length": str(LIMIT + 1)})
    assert answer.status == answer.json["error"]["status"] == 413
    assert answer.json["error"]["request_id"] == answer.headers["X-Request-ID"]
    assert not reached_the_application(stack, answer.headers["X-Request-ID"])


@pytest.mark.parametrize("size", [300_000, LIMIT + 1])
def test_a_chunked_body_over_a_limit_is_413_too(stack, size):
    """Its length is not told in advance: the application's limit and nginx's."""
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    body = f"{size:x}\r\n".encode() + b" " * size + b"\r\n0\r\n\r\n"
    head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": stack.site.host, **headers}.items())
    received = stack.site.send(f"POST /api/items HTTP/1.1\r\nConnection: close\r\n{head}\r\n".encode() + body)
    assert received.startswith(b"HTTP/1.1 413 "), received[:200]


def test_dotfiles_that_are_meant_to_be_public_pass(stack):
    assert reached_the_application(stack, stack.site.get("/.well-known/security.txt").headers["X-Request-ID"])
