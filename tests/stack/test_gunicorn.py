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
    patient = {"DATABASE_POOL_TIMEOUT": 30, "DATABASE_CONNECT_TIMEOUT": 30}
    with prod.beside(**patient) as site:
        yield site


def test_fifty_requests_that_wait_in_the_database_wait_together(waiting):
    def duration(number):
        started = time.monotonic()
        with ThreadPoolExecutor(number) as pool:
            answers = [*pool.map(lambda _: waiting.get("/wait?seconds=0.2"), range(number))]
        assert [answer.status for answer in answers] == [200] * number
        return time.monotonic() - started

    duration(1)
    until(lambda: duration(50) < 25 * duration(1), what="one after the other would be fifty times")


def test_who_holds_up_all_requests_of_a_process_is_in_the_log_with_its_stack(waiting):
    def told():
        waiting.get("/compute?seconds=0.3")
        lines = run("docker", "logs", waiting.address).stdout.splitlines()
        return next((json.loads(line) for line in lines if "in compute" in line), None)

    line = until(told)
    assert "The event loop was held for" in line["message"]
    assert "/srv/app/views.py" in line["stack"]


def test_a_stop_finishes_the_requests_in_hand(prod, waiting):
    """The last of them: it is gone then."""
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(waiting.request, "POST", "/wait?seconds=6") for _ in range(5)]
        begun = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(6%'"
        until(lambda: prod.sql(begun) == "5")
        docker("stop", waiting.address)
        assert [answer.result().status for answer in answers] == [200] * 5


def test_a_stop_does_not_wait_out_the_connections_that_nginx_keeps(prod):
    with ThreadPoolExecutor(20) as pool:
        assert {answer.status for answer in pool.map(lambda _: prod.site.get("/health/live"), range(100))} == {200}
    try:
        docker("stop", "--time", "60", prod.container("app"), timeout=28)  # graceful_timeout is 30 s
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
        until(lambda: exec_in(name, "python", "-c", probe).returncode == 0)
        assert run("docker", "logs", name).stdout.count("Booting worker") == 1
    finally:
        docker("rm", "--force", name)
