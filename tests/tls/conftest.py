"""The production stack with a certificate authority of its own."""

import socket
import time

import pytest

from tests.shell import docker
from tests.stack.conftest import DOMAIN, NO_BACKUPS, RUNNING, Stack, production
from tests.tls.pebble import DIRECTORY, HOST, Front, pebble
from tests.wait import until

LIVE = "/etc/letsencrypt/current"


class TlsStack(Stack):
    """`front` is the way to its port 80."""

    def on_disk(self):
        """The leaf that certbot keeps, as PEM; empty where there is none."""
        return self.exec("nginx", "sh", "-c", f"cat {LIVE}/cert.pem 2>/dev/null || true")

    def issued(self):
        """The same, which must be what clients are shown: by each worker of nginx after three seconds."""
        pem = self.on_disk()
        assert pem
        until(lambda: self.site.certificate() == pem, within=20)
        return pem

    def await_other_than(self, pem):
        def other():
            new = self.issued()
            assert new != pem
            return new

        try:
            return until(other, what="another certificate is served")
        except AssertionError as error:
            raise AssertionError(self.compose("logs", "--tail", "5", "certbot", "nginx")) from error

    def certbot(self, option):
        return self.exec("certbot", "python3", "/opt/flagstone/renew.py", option)

    def checks(self):
        return self.said("certbot").count("is good")


@pytest.fixture(scope="session")
def authority():
    with pebble() as server:
        yield server


@pytest.fixture(scope="session")
def tls(authority):
    """compose.prod.yaml without its certbot yet; names resolve to its nginx."""
    settings = {"DOMAIN_ALIASES": f"www.{DOMAIN}", "ACME_SERVER": DIRECTORY, **NO_BACKUPS}
    settings["ACME_PROFILE"] = "default"  # asked for none, Pebble takes any of them
    stack = production("tls", "tests/tls/compose.yaml", kind=TlsStack, **settings)
    RUNNING.append(stack)
    try:
        stack.compose("up", "--detach", "--build", "--wait", "nginx", "app")
        stack.compose("build", "certbot")
        docker("network", "connect", "--alias", HOST, f"{stack.project}_edge", socket.gethostname())
        here = stack.address_of(socket.gethostname(), "edge")
        stack.environment["TEST_DNS"] = here
        authority.points_to(here)
        with Front(stack.site.address, DOMAIN, here).open() as stack.front:
            yield stack
    finally:
        stack.end()


@pytest.fixture(scope="session")
def first(tls):
    """The certificate that one `up -d` on an empty volume leads to."""
    assert tls.site.get("/").status == 200, "nginx serves its placeholder meanwhile"
    start = time.monotonic()
    tls.compose("up", "--detach")
    pem = until(tls.issued, what="the issued certificate is served")
    print(f"{time.monotonic() - start:.1f} s from up to the issued certificate")  # pytest -s shows it
    return pem
