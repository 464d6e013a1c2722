"""The API against its own description: schemathesis makes up requests, good and bad, for each operation of it."""

import sys

from tests.shell import run
from tests.stack.conftest import DOMAIN
from tests.wait import until

# schemathesis as a command, on a machine where the name of the site leads to the container.
COMMAND = """
import socket, sys
from schemathesis.cli import schemathesis
name, address, *sys.argv[1:] = sys.argv[1:]
ask = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: ask(address if host == name else host, *rest, **more)
schemathesis()
"""


def test_every_operation_answers_as_described_whatever_it_is_sent(prod):
    """No server error; statuses, types and bodies as described; what is not valid is refused."""
    options = ("--header", f"Cookie: {prod.site.cookie}", "--tls-verify", "false", "--seed", "1")
    done = run(
        *(sys.executable, "-c", COMMAND, DOMAIN, prod.address("nginx", "edge"), "run", *options),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "30"),
        *("--continue-on-failure", "--warnings", "off"),
        f"https://{DOMAIN}:8443/api/openapi.json",
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2000:]
    until(lambda: prod.sql("SELECT count(*) FROM report WHERE state IN ('queued', 'running')") == "0")


def test_bad_input_stores_nothing(prod):
    before = prod.site.get("/api/notes").json["total"]
    bodies = [b"{", b"\xff", b'{"title": "a", "title": "b"}', b'{"title": 1e999}', b'{"title": "\\u0000"}', b"1" * 5000]
    for body in bodies:
        assert prod.site.post_json("/api/notes", body).status == 400, body
    assert prod.site.get("/api/notes").json["total"] == before
