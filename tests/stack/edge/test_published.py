"""How the world comes in: through the ports that Docker publishes, and by IPv6."""

import json
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import IPv6Network

import pytest

from tests.engine import exec_in
from tests.shell import docker, run
from tests.stack.conftest import DOMAIN, TEST_ID, nginx_with
from tests.wait import until

OWN = TEST_ID.split("-")[2]  # eight hexadecimal digits: two runs on one machine have networks of their own
NETWORK = str(IPv6Network(f"fd5a:{OWN[:4]}:{OWN[4:]}::/64"))


def curl(prod, network, *arguments):
    """From another container, which has an address of its own, or the host's."""
    image = docker("inspect", "--format", "{{.Image}}", socket.gethostname())
    name = f"{prod.project}-curl"
    docker("run", "--detach", "--name", name, "--network", network, image, "sleep", "60")
    try:
        return exec_in(name, "curl", "--silent", "--insecure", *arguments)
    finally:
        docker("rm", "--force", name)


@contextmanager
def ipv6(prod):
    """A network with IPv6 that nginx is in, too; yields its name and nginx's address there."""
    name, nginx = f"{prod.project}_six", prod.container("nginx")
    docker("network", "create", "--ipv6", "--subnet", NETWORK, name)
    try:
        for container in (nginx, socket.gethostname()):
            docker("network", "connect", name, container)
        (found,) = json.loads(docker("inspect", nginx))
        yield name, found["NetworkSettings"]["Networks"][name]["GlobalIPv6Address"]
    finally:
        for container in (nginx, socket.gethostname()):
            run("docker", "network", "disconnect", "--force", name, container, check=False)
        docker("network", "rm", name)


@pytest.mark.parametrize("version", ["--http1.1", "--http2", "--http3-only"])
def test_each_version_of_http_passes_through_the_published_port(prod, version):
    protocol = "udp" if version == "--http3-only" else "tcp"
    port = prod.compose("port", "--protocol", protocol, "nginx", "8443").rpartition(":")[2]
    there = ("--max-time", "10", "--resolve", f"{DOMAIN}:{port}:127.0.0.1", f"https://{DOMAIN}:{port}/health/live")
    result = curl(prod, "host", version, *there)
    assert json.loads(result.stdout) == {"status": "ok"}, result


def test_a_client_by_ipv6_is_served_and_logged_by_its_address(prod):
    with ipv6(prod) as (_, address):
        assert replace(prod.http, address=address).get("/").status == 308
        request_id = replace(prod.site, address=address).get("/").headers["X-Request-ID"]
        line = until(lambda: [it for it in prod.logs("nginx").splitlines() if request_id in it])[0]
    assert json.loads(line)["client"].startswith(NETWORK.partition("::")[0])


def test_an_ipv6_client_is_a_whole_network_in_the_limits(prod):
    """It has 2**64 addresses, and each would count as another client."""
    with nginx_with(prod, CONNECTION_LIMIT="3"), ipv6(prod) as (name, address), ExitStack() as stack:
        asked = ("--max-time", "10", f"http://[{address}]:8080/health/live")
        assert curl(prod, name, *asked).returncode == 0

        def refused():
            for _ in range(3):  # anew, for nginx closes what is silent after 15 s
                stack.enter_context(socket.create_connection((address, 8080)))
            return curl(prod, name, *asked).returncode != 0

        until(refused)
        other = replace(prod.http, address=prod.address("nginx", "edge"))
        assert other.get("/").status == 308, "whom it does not concern"
