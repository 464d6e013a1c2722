"""Clients that hold a connection for as long as they can, over HTTP/1.1 and HTTP/2."""

import os
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from struct import pack

LARGE = 15_000  # fills one of nginx's three buffers for headers
END_STREAM, END_HEADERS = 1, 4
DATA, HEADERS, SETTINGS, CONTINUATION = 0, 1, 4, 9


def frame(kind, flags, stream, payload=b""):
    return pack(">I", len(payload))[1:] + pack(">BBI", kind, flags, stream) + payload


def length(value):
    """RFC 7541, 5.1, of seven bits."""
    if value < 127:
        return bytes((value,))
    value, encoded = value - 127, b"\x7f"
    while value > 127:
        value, encoded = value >> 7, encoded + bytes((value & 127 | 128,))
    return encoded + bytes((value,))


def block(*fields):
    """Header fields that are not indexed (RFC 7541, 6.2.2) and not compressed."""
    return b"".join(b"\0" + length(len(name)) + name + length(len(value)) + value for name, value in fields)


def hello(window=65535):
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, pack(">HI", 4, window))


def openings(host):
    """By protocol and kind: what a client says before it goes slow. None: nothing, not even TLS."""
    get = f"GET /static/style.css HTTP/1.1\r\nHost: {host}\r\n".encode()
    post = f"POST /api/items HTTP/1.1\r\nHost: {host}\r\nContent-Length: 90000\r\n\r\nx".encode()
    fields = ((b":scheme", b"https"), (b":authority", host.encode()))
    h2_get = block((b":method", b"GET"), (b":path", b"/static/style.css"), *fields)
    h2_post = block((b":method", b"POST"), (b":path", b"/api/items"), *fields)
    large = [(b"x-%d" % number, b"x" * LARGE) for number in range(3)]
    return {
        ("http/1.1", "idle"): None,
        ("http/1.1", "slow headers"): get + b"X: ",
        ("http/1.1", "slow body"): post,
        ("http/1.1", "slow read"): (get + b"\r\n") * 50,
        ("http/1.1", "large headers"): get + b"\r\n".join(b"%s: %s" % field for field in large),
        ("h2", "idle"): hello(),
        ("h2", "slow headers"): hello() + frame(HEADERS, 0, 1, h2_get),
        ("h2", "slow body"): hello() + frame(HEADERS, END_HEADERS, 1, h2_post) + frame(DATA, 0, 1, b"x"),
        ("h2", "slow read"): hello(window=0)
        + b"".join(frame(HEADERS, END_HEADERS | END_STREAM, number, h2_get) for number in range(1, 65, 2)),
        ("h2", "large headers"): hello()
        + frame(HEADERS, 0, 1, h2_get)
        + b"".join(frame(CONTINUATION, 0, 1, block(field)) for field in large),
    }


class Crowd:
    """Of one address. What the server closes at once is not tried again."""

    def __init__(self, site):
        self.site, self.held = site, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.held:
            connection.close()

    def tries(self, number, protocol, kind):
        opening = openings(self.site.host)[protocol, kind]
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols([protocol])
        with ThreadPoolExecutor(8, initializer=os.nice, initargs=(19,)) as pool:  # it is not to take the CPU
            list(pool.map(lambda _: self.hold(context, opening), range(number)))

    def hold(self, context, opening):
        connection = socket.socket()
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(10)
            connection.connect((self.site.address, self.site.port))
            if opening is not None:
                connection = context.wrap_socket(connection, server_hostname=self.site.host)
                connection.sendall(opening)
            self.held.append(connection)
        except OSError:
            connection.close()
