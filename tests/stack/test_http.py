"""What a client sends reaches the application as it was sent, and what the application answers reaches the client."""

from contextlib import suppress
from hashlib import sha256

import pytest

from tests.stack.conftest import DOMAIN

BODY = bytes(range(256)) * 2000


@pytest.fixture(scope="module")
def echo(prod):
    """The site, with the probe in the place of the application."""
    with prod.probe_behind_nginx():
        yield prod.site


def asked(site, head, *parts):
    """For a request whose head is sent first: what is answered to that, where it asks, and what comes in the end."""
    with site.connect() as connection:
        connection.sendall(f"{head}\r\nHost: {site.host}\r\nConnection: close\r\n\r\n".encode())
        first = connection.recv(1000) if "Expect" in head else b""
        for part in parts:
            connection.sendall(part)
        received = b""
        with suppress(ConnectionError):
            while data := connection.recv(65536):
                received += data
    return first, received


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/echo/a%2Fb", "/echo/a/b"),
        ("/echo/a%252Fb", "/echo/a%2Fb"),
        ("/echo/a%20b+c", "/echo/a b+c"),
        ("/echo/Gr%C3%BC%C3%9Fe", "/echo/Grüße"),
        ("/echo//a///b/", "/echo//a///b/"),
        ("//echo/a", "/echo/a"),
        ("/echo/a/./b", "/echo/a/./b"),
        ("/echo/a;b=c,d:e@f!$&'()*", "/echo/a;b=c,d:e@f!$&'()*"),
        ("/echo/a%3Fb?c=%2F%20+%26&c=d//e?f", "/echo/a?b"),
    ],
)
def test_an_address_arrives_as_it_was_sent(echo, address, path):
    seen = echo.get(address).json
    assert (seen["address"], seen["path"]) == (address, path)


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (f"{DOMAIN}:9999", f"{DOMAIN}:9999"),
        (f"{DOMAIN}.", DOMAIN),
        (DOMAIN.upper(), DOMAIN),
        (f"{DOMAIN}.:1", f"{DOMAIN}:1"),
    ],
)
def test_a_host_arrives_in_one_spelling_with_its_port(echo, sent, seen):
    assert echo.get("/echo", headers={"Host": sent}).json["host"] == seen


@pytest.mark.parametrize("host", ["[::1]", "[::1]:8080", "LOCALHOST", "localhost.", "127.0.0.1:8080"])
def test_development_answers_to_each_name_of_this_machine(dev, host):
    assert dev.site.get("/", headers={"Host": host}).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_body_arrives_whole_with_any_method(echo, method):
    seen = echo.request(method, "/echo", body=BODY).json
    assert (seen["method"], seen["body"]) == (method, sha256(BODY).hexdigest())


def test_a_body_in_chunks_arrives_whole(echo):
    chunks = [b"%x;name=value\r\n%b\r\n" % (len(part), part) for part in (BODY[:1], BODY[1:70_000], BODY[70_000:])]
    _, received = asked(echo, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked", *chunks, b"0\r\nTrailer: x\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200 ")
    assert sha256(BODY).hexdigest().encode() in received


def test_whoever_asks_whether_to_send_a_body_is_told_to(echo):
    head = f"POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {len(BODY)}"
    first, received = asked(echo, head, BODY)
    assert first.startswith(b"HTTP/1.1 100 ")
    assert sha256(BODY).hexdigest().encode() in received


def test_whoever_asks_whether_to_send_too_much_is_told_not_to(echo):
    first, _ = asked(echo, "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99999999")
    assert first.startswith(b"HTTP/1.1 413 ")


def test_head_is_get_without_the_body(echo):
    got, head = echo.get("/echo"), echo.request("HEAD", "/robots.txt")
    assert got.status == head.status == 200
    assert (head.body, head.headers["Content-Length"]) == (b"", str(len(echo.get("/robots.txt").body)))
    assert echo.request("HEAD", "/").body == b""


def test_options_says_what_an_address_takes(echo):
    answer = echo.request("OPTIONS", "/api/notes")
    assert (answer.status, answer.body) == (200, b"")
    assert {"GET", "HEAD", "OPTIONS", "POST"} == set(answer.headers["Allow"].split(", "))


def test_what_has_not_changed_is_not_sent_again_and_a_part_is_sent_alone(echo):
    whole = echo.get("/echo")
    etag = whole.headers["ETag"]
    again = echo.get("/echo", headers={"If-None-Match": etag})
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    assert echo.get("/echo", headers={"If-None-Match": '"another"'}).status == 200
    part = echo.get("/echo", headers={"Range": "bytes=1-4", "If-Range": etag})
    assert (part.status, part.body) == (206, whole.body[1:5])
    assert part.headers["Content-Range"] == f"bytes 1-4/{len(whole.body)}"
    assert echo.get("/echo", headers={"Range": "bytes=1-4", "If-Range": '"another"'}).status == 200
