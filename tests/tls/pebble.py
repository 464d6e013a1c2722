"""Let's Encrypt's own test server, Pebble, its DNS, and the way to port 80, as processes of the test container."""

import http.client
import json
import os
import ssl
import subprocess
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

from tests.shell import run
from tests.wait import until

HOST = "acme"  # what the stack's edge network calls the test container
DIRECTORY = f"https://{HOST}:14000/dir"
FOLDER = Path("tests/tls/acme")  # in the checkout, so that certbot's container can mount it
DNS = "http://127.0.0.1:8055"
MANAGEMENT = "https://127.0.0.1:15000"
BLOCKED = "blocked.test"
FLEETING = 20  # seconds


class Pebble:
    def __init__(self):
        self.log = FOLDER / "pebble.log"

    def get(self, path):
        return self.ask(Request(f"{MANAGEMENT}/{path}"))

    def ask(self, request):
        context = ssl.create_default_context(cafile=FOLDER / "ca.pem")
        context.check_hostname = False
        with urlopen(request, context=context, timeout=5) as response:
            return response.read().decode()

    def roots(self):
        """The certificate authority that signs what Pebble issues, as PEM."""
        return self.get("roots/0")

    def orders(self):
        """How many orders were placed so far."""
        return self.log.read_text().count("order-plz")

    def wants_renewal_of(self, pem):
        """ACME Renewal Information (RFC 9773): the time for a new one is over."""
        past = [(datetime.now(UTC) - timedelta(days=days)).isoformat() for days in (2, 1)]
        window = json.dumps({"suggestedWindow": {"start": past[0], "end": past[1]}})
        body = json.dumps({"Certificate": pem + "\n", "ARIResponse": window})
        self.ask(Request(f"{MANAGEMENT}/set-renewal-info/", data=body.encode()))

    def points_to(self, address, *names):
        """These names, or all others, resolve to this address from now on."""
        for name in names:
            set_dns("add-a", {"host": f"{name}.", "addresses": [address]})
        if not names:
            set_dns("set-default-ipv4", {"ip": address})

    def fails_for(self, name, *, fails=True):
        """Whether DNS has no answer for this name."""
        set_dns("set-servfail" if fails else "clear-servfail", {"host": f"{name}."})


def set_dns(path, value):
    with urlopen(Request(f"{DNS}/{path}", data=json.dumps(value).encode()), timeout=5) as response:
        assert response.status == 200


class Front:
    """Port 80 as the world sees it: hands requests on to nginx, where `hosts` does not say otherwise."""

    def __init__(self, nginx, host, address):
        self.nginx, self.host = nginx, host  # nginx knows one site; here all names lead to it
        self.address = address  # its own, which is the authority's too
        self.hosts = {}  # which of them lead "elsewhere": for everybody, or for the "authority" alone

    def answer(self, host, path, asker):
        kind = self.hosts.get(host)
        if kind == "elsewhere" or (kind == "authority" and asker == self.address):
            return 404, b"another server"
        connection = http.client.HTTPConnection(self.nginx, 8080, timeout=5)
        try:
            connection.request("GET", path, headers={"Host": self.host})
            response = connection.getresponse()
            return response.status, response.read()
        except OSError, http.client.HTTPException:
            return 502, b"nginx is away"

    @contextmanager
    def open(self):
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                status, body = front.answer(self.headers["Host"].partition(":")[0], self.path, self.client_address[0])
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        with ThreadingHTTPServer(("0.0.0.0", 80), Handler) as server:  # noqa: S104
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield self
            finally:
                server.shutdown()


@contextmanager
def pebble():
    FOLDER.mkdir(exist_ok=True)
    own = f"subjectAltName=DNS:{HOST},IP:127.0.0.1"
    key, certificate = str(FOLDER / "key.pem"), str(FOLDER / "ca.pem")
    make = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "2", "-subj", f"/CN={HOST}")
    run(*make, "-addext", own, "-keyout", key, "-out", certificate)
    settings = {
        "listenAddress": "0.0.0.0:14000",
        "managementListenAddress": "127.0.0.1:15000",
        "certificate": certificate,
        "privateKey": key,
        "httpPort": 80,
        "tlsPort": 443,
        "ocspResponderURL": "",
        "domainBlocklist": [BLOCKED],
        "profiles": {
            "default": {"description": "as the authority likes", "validityPeriod": 90 * 86400},
            "fleeting": {"description": "over in no time", "validityPeriod": FLEETING},
        },
    }
    (FOLDER / "pebble.json").write_text(json.dumps({"pebble": settings}))
    quick = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
    servers = (
        ("pebble", "-config", str(FOLDER / "pebble.json"), "-dnsserver", "127.0.0.1:53"),
        (
            *("pebble-challtestsrv", "-dnsserver", ":53", "-defaultIPv6", ""),
            *("-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""),
        ),
    )
    this = Pebble()
    with this.log.open("w") as log:
        processes = [subprocess.Popen(server, stdout=log, stderr=log, env=quick) for server in servers]
        try:
            until(this.roots, what="Pebble")
            yield this
        finally:
            for process in processes:
                process.terminate()
                process.wait(10)
