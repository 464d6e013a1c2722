"""A plain HTTP client that says exactly what it is told: raw paths, any Host, any server name, no redirects."""

import http.client
import json
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlencode

# One for all: to make one that knows the system's authorities takes longer than the whole request.
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Site:
    """`host` as a client names it, answered by the container at `address`."""

    address: str
    port: int
    host: str
    tls: bool = False
    cookie: str = ""

    def connect_to(self, port):
        """A plain connection to another port of the same container."""
        return socket.create_connection((self.address, port), timeout=20)

    def connect(self, host=None):
        """An open socket; with TLS the certificate is not verified (tests/tls does that)."""
        connection = self.connect_to(self.port)
        if self.tls:
            connection = TLS.wrap_socket(connection, server_hostname=(host or self.host).partition(":")[0])
        return connection

    def certificate(self):
        """What a client is shown, as PEM."""
        with self.connect() as connection:
            return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True)).strip()

    def request(self, method, path, *, host=None, headers=None, body=None):
        """Returns an Answer. Raises OSError or http.client.HTTPException where there is none."""
        connection = http.client.HTTPConnection(self.address)
        connection.sock = self.connect(host)
        connection._validate_path = lambda _: None  # what a client may not send is what is tested
        try:
            headers = {"Host": host or self.host, "Cookie": self.cookie, **(headers or {})}
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post_json(self, path, value, *, headers=None, **options):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        return self.request("POST", path, body=body, headers=headers, **options)

    def post_form(self, path, **fields):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.request("POST", path, body=urlencode(fields), headers=headers)

    def send(self, raw):
        """Send bytes as they are; returns all that comes back until the server closes."""
        received = b""
        with self.connect() as connection, suppress(ConnectionError):
            with suppress(ConnectionError):  # refused before all of it was sent; the answer may be there already
                connection.sendall(raw)
            while data := connection.recv(65536):
                received += data
        return received
