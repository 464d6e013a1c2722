"""Let's Encrypt's own test server, Pebble, and its DNS, as processes of the test container."""

import json
import os
import ssl
import subprocess
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from tests.shell import run
from tests.wait import until

HOST = "acme"  # what the stack's edge network calls the test container
DIRECTORY = f"https://{HOST}:14000/dir"
FOLDER = Path("tests/tls/acme")  # in the checkout, so that certbot's container can mount it
DNS = "http://127.0.0.1:8055"


class Pebble:
    def __init__(self):
        self.log = FOLDER / "pebble.log"

    def roots(self):
        """The certificate authority that signs what Pebble issues, as PEM."""
        context = ssl.create_default_context(cafile=FOLDER / "ca.pem")
        context.check_hostname = False
        with urlopen("https://127.0.0.1:15000/roots/0", context=context, timeout=5) as response:
            return response.read().decode()

    def orders(self):
        """How many orders were placed so far."""
        return self.log.read_text().count("order-plz")

    def points_to(self, address):
        """All names resolve to this address from now on."""
        post("set-default-ipv4", {"ip": address})


def post(path, value):
    request = Request(f"{DNS}/{path}", data=json.dumps(value).encode())
    with urlopen(request, timeout=5) as response:
        assert response.status == 200


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
        "httpPort": 8080,  # nginx's, inside its container
        "tlsPort": 8443,
        "ocspResponderURL": "",
    }
    (FOLDER / "pebble.json").write_text(json.dumps({"pebble": settings}))
    quick = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    servers = (
        ("pebble", "-config", str(FOLDER / "pebble.json"), "-dnsserver", "127.0.0.1:8053"),
        ("pebble-challtestsrv", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""),
    )
    this = Pebble()
    with this.log.open("w") as log:
        processes = [subprocess.Popen(server, stdout=log, stderr=log, env=quick) for server in servers]
        try:
            until(this.roots, within=15, what="Pebble")
            yield this
        finally:
            for process in processes:
                process.terminate()
                process.wait(10)
