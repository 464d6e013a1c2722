"""The production stack with a certificate authority of its own."""

import socket

import pytest

from tests.shell import docker
from tests.stack.conftest import DOMAIN, Stack
from tests.stack.site import Site
from tests.tls.pebble import DIRECTORY, HOST, pebble


@pytest.fixture(scope="session")
def authority():
    with pebble() as server:
        yield server


@pytest.fixture(scope="session")
def tls(authority):
    """compose.prod.yaml without its certbot yet; names resolve to its nginx."""
    environment = {"DOMAIN": DOMAIN, "DOMAIN_ALIASES": f"www.{DOMAIN}", "ACME_SERVER": DIRECTORY}
    environment |= {"HTTP_PORT": "0", "HTTPS_PORT": "0"}
    stack = Stack("tls", ("compose.prod.yaml", "tests/tls/compose.yaml"), environment)
    stack.site = Site(f"{stack.project}-nginx-1", 8443, DOMAIN, tls=True)
    stack.http = Site(f"{stack.project}-nginx-1", 8080, DOMAIN)
    try:
        stack.compose("up", "--detach", "--build", "--wait", "nginx", "app")
        stack.compose("build", "certbot")
        docker("network", "connect", "--alias", HOST, f"{stack.project}_edge", socket.gethostname())
        authority.points_to(stack.address("nginx", "edge"))
        yield stack
    finally:
        stack.down("--volumes")
