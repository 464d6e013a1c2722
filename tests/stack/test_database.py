"""What PostgreSQL says of a statement reaches the client as what it is; a full pool is not a lost database."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from tests.shell import docker
from tests.wait import until

LIMITS = {"DATABASE_POOL_SIZE": 1, "DATABASE_MAX_OVERFLOW": 1, "DATABASE_POOL_TIMEOUT": 1, "DATABASE_TIMEOUT": 4}


@pytest.fixture(scope="module")
def probe(prod):
    """One process with two connections."""
    with prod.beside(**LIMITS) as site:
        yield site


def sql(site, statement):
    return site.get(f"/sql?statement={quote(statement)}")


def raised(code):
    return f"DO $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = '{code}'; END $$"


@contextmanager
def full_pool(site, seconds):
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(site.get, f"/wait?seconds={seconds}") for _ in range(2)]
        until(lambda: site.get("/health").json["database"] != "ok", within=2)
        yield
    assert {wait.result().status for wait in waits} == {200}


@pytest.mark.parametrize(
    ("statement", "status", "retry"),
    [
        ("SELECT missing FROM probe_item", 500, None),
        ("SET LOCAL statement_timeout = 10; SELECT pg_sleep(5)", 500, None),
        (raised("55P03"), 500, None),
        (raised("40001"), 503, "1"),
        (raised("40P01"), 503, "1"),
        (raised("53100"), 503, "5"),
        (raised("57P03"), 503, "5"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", 503, "5"),
    ],
)
def test_an_error_is_a_500_and_what_passes_by_itself_a_503(probe, statement, status, retry):
    answer = sql(probe, statement)
    assert (answer.status, answer.headers["Retry-After"]) == (status, retry)
    assert sql(probe, "SELECT 1").status == 200


def test_a_statement_that_takes_too_long_is_given_up_with_its_connection(prod, probe):
    """Half of its answer may be on its way: neither the next request nor PostgreSQL goes on with it."""
    answer = sql(probe, "SELECT pg_sleep(60) AS slow")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    until(lambda: "SELECT pg_sleep(60) AS slow" in docker("logs", probe.address))
    assert [sql(probe, "SELECT 1").status for _ in range(4)] == [200] * 4
    count = "select count(*) from pg_stat_activity where query like '%60) AS slow' and state = 'active'"
    until(lambda: prod.sql(count) == "0", within=30)


def test_a_full_pool_is_busy_and_stays_in_rotation(probe):
    def seen():
        with full_pool(probe, 3):
            answer = probe.get("/health")
            assert answer.status == 200
            assert (answer.json["status"], answer.json["database"]) == ("degraded", "busy")
            refused = sql(probe, "SELECT 1")
            assert (refused.status, "in use" in refused.text) == (503, True)
        return True

    until(seen, what="all of it while the pool is full")
    assert probe.get("/health").json["status"] == "ok"


def test_a_full_pool_before_a_frozen_database_is_no_excuse(prod, probe):
    with ThreadPoolExecutor(2) as pool:
        prod.compose("pause", "db")
        try:
            waits = [pool.submit(probe.get, "/wait?seconds=0") for _ in range(2)]

            def soon():
                started = time.monotonic()
                answer = probe.get("/health")
                assert (answer.status, answer.json["database"]) == (503, "unavailable")
                return time.monotonic() - started < LIMITS["DATABASE_TIMEOUT"]

            until(soon, what="its own limit of 3 s")
            assert {wait.result().status for wait in waits} == {503}
        finally:
            prod.compose("unpause", "db")
    until(lambda: probe.get("/health").json["status"] == "ok")
