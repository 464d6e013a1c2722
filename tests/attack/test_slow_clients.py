"""Clients that hold connections by being slow, in every way there is, keep nobody else waiting."""

import subprocess

import pytest

from tests.attack.slow import Crowd
from tests.stack.conftest import DOMAIN, nginx_with
from tests.tls.curl import command
from tests.wait import until

pytestmark = pytest.mark.long

KINDS = [(protocol, kind) for protocol in ("http/1.1", "h2") for kind in ("idle", "headers", "body", "read")]
LIMIT, EVERYBODY = 256, 4096  # CONNECTION_LIMIT by default, and worker_connections by worker_processes


def test_one_address_with_20_000_slow_connections_costs_nobody_else_100_ms(attacked):
    with attacked.watched(), attacked.visitor():
        for protocol, kind in KINDS:
            with Crowd(attacked.site) as crowd:
                crowd.tries(2500, protocol, kind if kind == "idle" else f"slow {kind}")
                assert LIMIT * 0.9 < attacked.connections() < LIMIT + 20, (protocol, kind)


def test_slow_bodies_over_http_3_cost_nobody_100_ms_either(attacked):
    begun = attacked.logs("nginx").count("HTTP/3.0")
    slow = ("--limit-rate", "100", "--max-time", "10", "--data", "x" * 90_000)
    many = ("--parallel", "--parallel-immediate", "--parallel-max", "200", f"https://{DOMAIN}/api/items?[1-200]")
    crowd = ("nice", *command(attacked, "h3", *slow, *many))
    with attacked.watched(), attacked.visitor(), subprocess.Popen(crowd, stdout=subprocess.DEVNULL) as process:
        until(lambda: process.poll() is not None)
    until(lambda: attacked.logs("nginx").count("HTTP/3.0") >= begun + 200)


@pytest.fixture(scope="module")
def from_anywhere(attacked):
    """For nginx the crowd is now as many clients as it has connections."""
    with nginx_with(attacked, CONNECTION_LIMIT="9999"):
        yield attacked


def test_idle_connections_of_many_addresses_make_room_for_whoever_comes(from_anywhere):
    with from_anywhere.watched(), from_anywhere.visitor(), Crowd(from_anywhere.site) as crowd:
        crowd.tries(EVERYBODY, "http/1.1", "idle")
        crowd.tries(EVERYBODY // 2, "h2", "idle")
        assert from_anywhere.connections() > EVERYBODY * 0.8


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_as_many_connections_as_there_may_be_with_the_largest_headers_fit_into_memory(from_anywhere, protocol):
    with from_anywhere.watched():
        with Crowd(from_anywhere.site) as crowd:
            crowd.tries(EVERYBODY + 500, protocol, "large headers")
            assert from_anywhere.connections() > EVERYBODY * 0.6
        until(lambda: from_anywhere.site.get("/").status == 200)
