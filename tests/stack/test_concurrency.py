"""gevent and psycopg2 work together: a query makes its own request wait, and no other."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.shell import docker
from tests.stack.site import Site
from tests.wait import until


@pytest.fixture
def waiting(prod):
    """One gunicorn process of the product's image, with tests/stack/waits.py as its application."""
    name = f"{prod.project}-waits"
    mounted = f"{Path('tests/stack/waits.py').resolve()}:/srv/waits.py:ro"
    options = ("--detach", "--no-deps", "--name", name, "--env", "GUNICORN_PROCESSES=1", "--volume", mounted)
    prod.compose("run", *options, "app", "gunicorn", "--config", "app/gunicorn.conf.py", "waits:app")
    docker("network", "connect", f"{prod.project}_edge", name)
    site = Site(name, 8000, "localhost")
    try:
        until(lambda: site.get("/health/live").status == 200, within=30)
        yield site
    finally:
        docker("rm", "--force", name)


def test_fifty_requests_that_wait_in_the_database_wait_together(waiting):
    waiting.get("/wait")
    started = time.monotonic()
    waiting.get("/wait")
    alone = time.monotonic() - started
    with ThreadPoolExecutor(50) as pool:
        started = time.monotonic()
        statuses = [answer.status for answer in pool.map(lambda _: waiting.get("/wait"), range(50))]
        together = time.monotonic() - started
    assert statuses == [200] * 50
    assert together < 10 * alone, "one after the other would be fifty times"
