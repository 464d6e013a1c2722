"""A hundred people sign in at once. How long do all others wait?"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from tests.shell import docker
from tests.stack.site import Site
from tests.wait import until

CROWD = 100


@pytest.fixture(scope="module")
def process(attacked):
    """One process of gunicorn, asked without nginx: what it does is not hidden by another one."""
    with attacked.probe("--env", "GUNICORN_PROCESSES=1") as name:
        docker("network", "connect", f"{attacked.project}_edge", name)
        site = Site(name, 8000, attacked.site.host)
        until(lambda: site.get("/health/live").status == 200, within=30)
        yield site


def p99(site, requests=300):
    durations = []
    for _ in range(requests):
        started = time.monotonic()
        assert site.get("/health/live").status == 200
        durations.append(time.monotonic() - started)
    return sorted(durations)[int(requests * 0.99)]


@contextmanager
def logins(site):
    """The crowd, each of it again and again, and after as long as it was told; yields the statuses."""
    stop, statuses = threading.Event(), []

    def log_in(number):
        while not stop.is_set():
            with suppress(TimeoutError):  # a machine that has no time for hashes
                answer = site.post_form("/login", email=f"{number}@example.test", password="correct horse battery")
                statuses.append(answer.status)
                stop.wait(int(answer.headers.get("Retry-After", 0)))

    with ThreadPoolExecutor(CROWD) as pool:
        crowd = [pool.submit(log_in, number) for number in range(CROWD)]
        try:
            until(lambda: statuses, within=30)
            yield statuses
        finally:
            stop.set()
    for one in crowd:
        one.result()


def test_a_crowd_of_logins_makes_nobody_else_wait(process):
    ratios = []
    for _ in range(3):  # the machine may be busy with something else
        alone = p99(process)
        with logins(process) as statuses:
            ratios.append(p99(process) / alone)
        assert set(statuses) <= {400, 503}
        assert 400 in statuses
        print(alone, ratios, len(statuses), statuses.count(503))
        if ratios[-1] <= 3:
            return
    raise AssertionError(f"others wait longer by these factors: {ratios}")
