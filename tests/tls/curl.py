"""curl as a client of the stack: over each version of HTTP, by any name, to nginx's container."""

import subprocess
from contextlib import contextmanager

from tests.shell import run

VERSIONS = {"http": "--http1.1", "https": "--http1.1", "h2": "--http2", "h3": "--http3-only"}


def command(stack, protocol, *arguments):
    """Whatever address is asked for, port 80 and 443 of it are nginx's."""
    nginx = stack.site.address
    ports = ("--connect-to", f":80:{nginx}:8080", "--connect-to", f":443:{nginx}:8443")
    return ("curl", "--silent", "--insecure", "--max-time", "60", VERSIONS[protocol], *ports, *arguments)


def curl(stack, protocol, host, path, wanted="%{http_code} %{redirect_url}"):
    """Returns `wanted` of the answer, stripped; "closed" where there is none."""
    scheme = "http" if protocol == "http" else "https"
    arguments = ("--output", "/dev/null", "--write-out", wanted, f"{scheme}://{host}{path}")
    result = run(*command(stack, protocol, *arguments), check=False)
    return result.stdout.strip() if result.returncode == 0 else "closed"


class Client:
    """Keeps asking until it is stopped, over one connection as long as the server keeps it."""

    def __init__(self, stack, protocol, url, rate="20/s"):
        self.protocol = protocol
        told = ("--write-out", "%{stderr}%{http_code} %{exitcode} %{num_connects}\n", "--output", "/dev/null")
        words = command(stack, protocol, "--rate", rate, *told, url)
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)

    def stop(self):
        """Returns how many were asked, the answers that were not 200, and how many connections that took."""
        self.process.terminate()
        told, _, _ = self.process.communicate(timeout=60)[1].rpartition("\n")  # it may be in the midst of a line
        lines = [line.split() for line in told.splitlines()]
        bad = [line for line in lines if line[:2] != ["200", "0"]]
        return len(lines), bad, sum(int(line[2]) for line in lines)


@contextmanager
def clients(stack, url):
    """One of each protocol, at work."""
    running = [Client(stack, protocol, url) for protocol in ("https", "h2", "h3")]
    try:
        yield running
    finally:
        for client in running:
            client.process.kill()
