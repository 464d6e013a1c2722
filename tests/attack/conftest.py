"""A production stack of its own, that is attacked: what happens to its containers, and whether it answers meanwhile."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from tests.shell import docker, run
from tests.stack.conftest import Stack, production
from tests.stack.site import Site


class Attacked(Stack):
    @contextmanager
    def watched(self):
        """Fails when a container starts anew meanwhile, or needs more than 90 % of its memory.

        Yields a list of the seconds that the application took for GET /health/live, asked without nginx.
        """
        web, stop, durations, memory = f"{self.project}_web", threading.Event(), [], {}
        application = Site(f"{self.project}-app-1", 8000, "app")  # TRUSTED_HOSTS has its neighbours' name for it
        docker("network", "connect", web, socket.gethostname())

        def ask():
            while not stop.wait(0.05):
                started = time.monotonic()
                with suppress(OSError):
                    application.get("/health/live")
                durations.append(time.monotonic() - started)

        def measure():
            while not stop.is_set():
                names = docker("ps", "--format", "{{.Names}}", "--filter", f"name={self.project}").split()
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
            run("docker", "network", "disconnect", "--force", web, socket.gethostname(), check=False)
        assert self.starts() == before
        assert max(memory.values()) < 90, memory

    def starts(self):
        states = {service: self.inspect(service)["State"] for service in self.services()}
        return {service: (state["StartedAt"], state["OOMKilled"]) for service, state in states.items()}


@pytest.fixture(scope="session")
def attacked():
    settings = {"ACME_SERVER": "http://127.0.0.1:9/directory", "MAX_BODY_SIZE": "200m"}
    with production("attacked", "tests/attack/compose.yaml", kind=Attacked, **settings) as stack:
        yield stack
