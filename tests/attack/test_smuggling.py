"""nginx and gunicorn agree on where a request ends, so nobody can put one of his own before another visitor's."""

from contextlib import suppress

import pytest

from tests.stack.edge.test_hosts import ask_within
from tests.wait import until

pytestmark = pytest.mark.long

HIDDEN = b"GET /api/items/987654321 HTTP/1.1\r\nHost: app\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
LENGTH = b"Content-Length: "
ODD_CHUNKED = [
    CHUNKED,
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding:\x0bchunked",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding:\r\n chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"Transfer_Encoding: chunked",
    b"Transfer-Encoding: CHUNKED",
    b"Transfer-Encoding: chunked\x00",
    b" Transfer-Encoding: chunked",
]
ODD_LENGTHS = [
    b"+%d",
    b"0x%x",
    b"0%d",
    b"%d,%d",
    b"%d\r\nContent-Length: 0",
    b"-%d",
    b"%d ",
    b"%d\x0b",
    b"\x00%d",
    b"1e%d",
]
ODD_CHUNKS = [
    b"0\r\n\r\n" + HIDDEN,
    b"0;x=y\r\n\r\n" + HIDDEN,
    b"0\n\n" + HIDDEN,
    b"00000000000000000\r\n\r\n" + HIDDEN,
    b"-1\r\n\r\n" + HIDDEN,
    b"0x0\r\n\r\n" + HIDDEN,
    b"1\r\nA\r\n0\r\n" + HIDDEN,
    b"2;\nxx\r\n%x\r\n0\r\n\r\n" % len(HIDDEN) + HIDDEN,
    b"ffffffffffffffff\r\n" + HIDDEN,
    b"0\r\nTransfer-Encoding: chunked\r\n\r\n" + HIDDEN,
]


def request(*headers, body, method=b"POST"):
    return b"\r\n".join((method + b" /api/items HTTP/1.1", b"Host: {host}", *headers, b"", body))


def variants():
    for odd in ODD_CHUNKED:
        body = b"0\r\n\r\n" + HIDDEN
        yield request(odd, LENGTH + b"%d" % len(body), body=body)
        yield request(LENGTH + b"5", odd, body=body)
        yield request(odd, body=body)
    for odd in ODD_LENGTHS:
        value = odd % ((len(HIDDEN),) * odd.count(b"%"))
        yield request(LENGTH + value, body=HIDDEN)
        yield request(LENGTH + b"0", LENGTH + value, body=HIDDEN)
    for odd in ODD_CHUNKS:
        yield request(CHUNKED, body=odd)
        yield request(CHUNKED, body=odd, method=b"GET")
    yield request(LENGTH + b"%d" % len(HIDDEN), body=HIDDEN, method=b"GET")
    yield request(b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 777", body=HIDDEN)
    yield request(b"Expect: 100-continue", LENGTH + b"0", body=HIDDEN)
    yield request(b"Connection: Content-Length", LENGTH + b"%d" % len(HIDDEN), body=HIDDEN)


def send(site, raw):
    """What comes back, until the server closes or waits for more."""
    with site.connect() as connection, suppress(OSError):
        connection.settimeout(0.5)
        connection.sendall(raw.replace(b"{host}", site.host.encode()))
        while connection.recv(65536):
            pass


def hidden_requests(stack):
    """How many the application had."""
    _, _, metrics = ask_within(stack.container("app"), "/metrics", "app")
    counts = [line.rpartition(" ") for line in metrics.splitlines() if "_seconds_count{" in line]
    return sum(float(count) for series, _, count in counts if "/api/items/<int:item_id>" in series)


def test_no_part_of_a_request_reaches_the_application_as_another_one(attacked):
    """nginx itself would never pass on a request for this host; the application would serve it."""
    before = hidden_requests(attacked)
    ask_within(attacked.container("app"), "/api/items/987654321", "app")
    until(lambda: hidden_requests(attacked) == before + 1, what="it is seen if it gets there")
    for raw in variants():
        send(attacked.site, raw)
        answer = attacked.site.get("/health/live")
        assert (answer.status, answer.json) == (200, {"status": "ok"}), raw
    assert hidden_requests(attacked) == before + 1
