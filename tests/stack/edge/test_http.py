"""What a client sends reaches the application as it was sent, and what the application answers reaches the client."""

from contextlib import suppress
from hashlib import sha256

import pytest

from tests.stack.conftest import DOMAIN

BODY = bytes(range(256)) * 2000


def asked(site, head, *parts):
    """For a request whose head is sent first: what is answered to that, where it asks, and what comes in the end."""
    with site.connect() as connection:
        connection.sendall(f"{head}\r\nHost: {site.host}\r\nConnection: close\r\n\r\n".encode())
        first = connection.recv(1000) if "Expect" in head else b""
        for part in parts:
            connection.sendall(part)
        received = b""
        with suppress(ConnectionError):
            while parts and (data := connection.recv(65536)):
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
def test_an_address_arrives_as_it_was_sent(prod, address, path):
    seen = prod.site.get(address).json
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
def test_a_host_arrives_in_one_spelling_with_its_port(prod, sent, seen):
    assert prod.site.get("/echo", headers={"Host": sent}).json["host"] == seen


@pytest.mark.parametrize("host", ["[::1]", "[::1]:8080", "LOCALHOST", "localhost.", "127.0.0.1:8080"])
def test_development_answers_to_each_name_of_this_machine(dev, host):
    assert dev.site.get("/", headers={"Host": host}).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_body_arrives_whole_with_any_method(prod, method):
    seen = prod.site.request(method, "/echo", body=BODY).json
    assert (seen["method"], seen["body"]) == (method, sha256(BODY).hexdigest())


def test_a_body_in_chunks_arrives_whole(prod):
    chunks = [b"%x;name=value\r\n%b\r\n" % (len(part), part) for part in (BODY[:1], BODY[1:70_000], BODY[70_000:])]
    _, received = asked(
        prod.site, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked", *chunks, b"0\r\nTrailer: x\r\n\r\n"
    )
    assert received.startswith(b"HTTP/1.1 200 ")
    assert sha256(BODY).hexdigest().encode() in received


def test_whoever_asks_whether_to_send_a_body_is_told_to(prod):
    head = f"POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {len(BODY)}"
    first, received = asked(prod.site, head, BODY)
    assert first.startswith(b"HTTP/1.1 100 ")
    assert sha256(BODY).hexdigest().encode() in received


def test_whoever_asks_whether_to_send_too_much_is_told_not_to(prod):
    first, _ = asked(prod.site, "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99999999")
    assert first.startswith(b"HTTP/1.1 413 ")


def test_head_is_get_without_the_body(prod):
    got, head = prod.site.get("/echo"), prod.site.request("HEAD", "/robots.txt")
    assert got.status == head.status == 200
    assert (head.body, head.headers["Content-Length"]) == (b"", str(len(prod.site.get("/robots.txt").body)))
    assert prod.site.request("HEAD", "/").body == b""


def test_options_says_what_an_address_takes(prod):
    answer = prod.site.request("OPTIONS", "/api/items")
    assert (answer.status, answer.body) == (200, b"")
    assert {"GET", "HEAD", "OPTIONS", "POST"} == set(answer.headers["Allow"].split(", "))


def test_what_has_not_changed_is_not_sent_again_and_a_part_is_sent_alone(prod):
    whole = prod.site.get("/echo")
    etag = whole.headers["ETag"]
    again = prod.site.get("/echo", headers={"If-None-Match": etag})
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    assert prod.site.get("/echo", headers={"If-None-Match": '"another"'}).status == 200
    part = prod.site.get("/echo", headers={"Range": "bytes=1-4", "If-Range": etag})
    assert (part.status, part.body) == (206, whole.body[1:5])
    assert part.headers["Content-Range"] == f"bytes 1-4/{len(whole.body)}"
    assert prod.site.get("/echo", headers={"Range": "bytes=1-4", "If-Range": '"another"'}).status == 200
