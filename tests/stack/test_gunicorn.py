"""gunicorn, gevent and psycopg2 together: requests wait side by side, and a stop loses none of them."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.engine import exec_in
from tests.shell import docker, run
from tests.wait import until


@pytest.fixture(scope="module")
def waiting(prod):
    with prod.beside() as site:
        yield site


def test_fifty_requests_that_wait_in_the_database_wait_together(waiting):
    waiting.get("/wait?seconds=0")
    started = time.monotonic()
    waiting.get("/wait?seconds=0.2")
    alone = time.monotonic() - started
    with ThreadPoolExecutor(50) as pool:
        started = time.monotonic()
        statuses = [answer.status for answer in pool.map(lambda _: waiting.get("/wait?seconds=0.2"), range(50))]
        together = time.monotonic() - started
    assert statuses == [200] * 50
    assert together < 25 * alone, "one after the other would be fifty times"


def test_who_holds_up_all_requests_of_a_process_is_in_the_log_with_its_stack(waiting):
    def told():
        waiting.get("/compute?seconds=0.3")
        lines = run("docker", "logs", waiting.address).stdout.splitlines()
        return next((json.loads(line) for line in lines if "in compute" in line), None)

    line = until(told, within=5)
    assert "The event loop was held for" in line["message"]
    assert "/srv/app/views.py" in line["stack"]


def test_a_stop_finishes_the_requests_in_hand(waiting):
    """The last of them: it is gone then."""
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(waiting.request, "POST", "/wait?seconds=3") for _ in range(5)]
        until(lambda: exec_in(waiting.address, "cat", "/proc/net/tcp").stdout.count(":1F40 ") > 5, within=5)
        docker("stop", waiting.address)
        assert [answer.result().status for answer in answers] == [200] * 5


def test_a_stop_does_not_wait_out_the_connections_that_nginx_keeps(prod):
    with ThreadPoolExecutor(20) as pool:
        assert {answer.status for answer in pool.map(lambda _: prod.site.get("/health/live"), range(100))} == {200}
    try:
        prod.compose("stop", "app", timeout=20)  # graceful_timeout is 30 s
    finally:
        prod.compose("start", "app")
        prod.await_health("ok")


def test_the_number_of_processes_follows_the_cpu_quota(prod):
    """The container's, not the host's count."""
    name = f"{prod.project}-quota"
    settings = ("--env", "APP_ENV=Dev", "--env", "DATABASE_URL=sqlite://")
    docker("run", "--detach", "--name", name, "--cpus", "1", *settings, prod.inspect("app")["Image"])
    try:
        probe = "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health/live')"
        until(lambda: exec_in(name, "python", "-c", probe).returncode == 0, within=30)
        assert run("docker", "logs", name).stdout.count("Booting worker") == 1
    finally:
        docker("rm", "--force", name)
