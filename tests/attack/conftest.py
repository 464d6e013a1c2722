"""A production stack of its own, that is attacked: what happens to its containers, and whether it answers meanwhile."""

import json
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.attack.odd import odd_checkout
from tests.shell import docker
from tests.stack.conftest import DOMAIN, Stack, production
from tests.stack.site import Site
from tests.wait import until

KILLED = {"nginx": "exited on signal", "app": "SIGKILL"}  # what a master says of its process


class Attacked(Stack):
    @contextmanager
    def watched(self):
        """Fails when a container or a process starts anew meanwhile, or needs more than 90 % of its memory.

        Yields a list of the seconds that the application took for GET /health/live, asked without nginx.
        """
        stop, durations, memory = threading.Event(), [], {}
        application = Site(f"{self.project}-app-1", 8000, "app")  # TRUSTED_HOSTS has its neighbours' name for it

        def ask():
            while not stop.wait(0.05):
                started = time.monotonic()
                with suppress(OSError):
                    application.get("/health/live")
                durations.append(time.monotonic() - started)

        mine = f"label=com.docker.compose.project={self.project}"

        def measure():
            while not stop.is_set():
                names = docker("ps", "--format", "{{.Names}}", "--filter", mine).split()
                for line in docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemPerc}}", *names).splitlines():
                    name, percent = line.split()
                    memory[name] = max(memory.get(name, 0), float(percent.rstrip("%")))

        before = self.starts()
        threads = [threading.Thread(target=ask), threading.Thread(target=measure)]
        try:
            for thread in threads:
                thread.start()
            yield durations
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert self.starts() == before
        assert max(memory.values()) < 90, memory

    def starts(self):
        states = {service: self.inspect(service)["State"] for service in self.services()}
        killed = {service: len(re.findall(words, self.logs(service))) for service, words in KILLED.items()}
        return {service: (state["StartedAt"], state["OOMKilled"]) for service, state in states.items()}, killed

    def connections(self):
        """How many nginx has at 8443, by TCP."""
        tables = self.exec("nginx", "cat", "/proc/net/tcp", "/proc/net/tcp6")
        return len(re.findall(f":{8443:04X} [0-9A-F]*:[0-9A-F]* 01 ", tables))

    @contextmanager
    def visitor(self, path="/health/live"):
        """Somebody with an address of his own (visitor.py): is served throughout, and about as fast as before."""
        image = docker("inspect", "--format", "{{.Image}}", socket.gethostname())
        name, script = f"{self.project}-visitor", Path("tests/attack/visitor.py").read_text()
        start = ("run", "--detach", "--name", name, "--network", f"{self.project}_edge", image, "python", "-c", script)
        docker(*start, self.site.address, DOMAIN, path)
        try:
            until(lambda: docker("logs", name).count("\n") > 60)
            begun = time.monotonic()
            yield
            docker("stop", "--time", "5", name)
            visits = [json.loads(line) for line in docker("logs", name).splitlines()]
        finally:
            docker("rm", "--force", name)
        calm = p99([visit for visit in visits if visit["at"] < begun])
        meanwhile = p99([visit for visit in visits if visit["at"] > begun])
        assert {visit["status"] for visit in visits} == {200}
        # The latter on a machine that is busy anyway.
        assert min(meanwhile) < max(0.1, 3 * min(calm)), (calm, meanwhile)


def p99(visits):
    """Of every two seconds, in seconds."""
    windows = {}
    for visit in visits:
        windows.setdefault(visit["at"] // 2, []).append(visit["took"])
    return [round(sorted(times)[int(len(times) * 0.99)], 3) for times in windows.values()]


@pytest.fixture(scope="session")
def attacked():
    """From a checkout with odd characters all over: what holds here holds for those, too."""
    folder = odd_checkout()
    with production(
        "attacked", "tests/attack/compose.yaml", kind=Attacked, folder=folder, MAX_BODY_SIZE="200m"
    ) as stack:
        yield stack
