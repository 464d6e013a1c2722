"""Health tells the truth when a part is gone, and again when it is back; nothing needs a restart."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.shell import docker
from tests.wait import until


def test_a_whole_stack_is_healthy(stack):
    answer = stack.await_health("ok")
    assert answer.status == 200
    assert {key: answer.json[key] for key in ("status", "database", "cache")} == dict.fromkeys(
        ("status", "database", "cache"), "ok"
    )


def test_a_lost_cache_degrades_and_recovers(stack):
    started = stack.inspect("app")["State"]["StartedAt"]
    with stack.without("redis"):
        assert stack.await_health("degraded").status == 200
        assert stack.site.get("/api/items").status == 200, "what is cached is there without it"
        assert stack.site.post_json("/api/items", {"name": "no cache"}).status == 201
    assert stack.site.get("/health").status == 200
    assert "no cache" in stack.site.get("/api/items").text, "no stale list after the outage"
    assert stack.inspect("app")["State"]["StartedAt"] == started


def test_a_lost_cache_is_logged_once_an_outage(stack):
    def complaints():
        lines = [line for line in stack.said("app").lower().splitlines() if "event loop was held" not in line]
        return sum("redis" in line or "cache" in line for line in lines)

    stack.await_health("ok")
    before = complaints()
    with stack.without("redis"):
        stack.await_health("degraded")
        for _ in range(20):
            stack.site.get("/api/items")
        processes = 4  # each worker process notices for itself
        assert 1 <= complaints() - before <= processes


def test_a_redis_at_its_limit_of_memory_is_no_lost_cache_and_serves_nothing_old(prod):
    def limit(memory):
        assert prod.redis("config set maxmemory", memory) == "OK"

    prod.site.get("/api/items")
    try:
        limit("1")
        for number in range(5):
            assert prod.site.post_json("/api/items", {"name": f"at the limit {number}"}).status == 201
            assert f"at the limit {number}" in prod.site.get("/api/items").text
        prod.await_health("ok")
    finally:
        limit("128mb")
    until(lambda: "Redis refuses" in prod.logs("app"))
    assert not [line for line in prod.logs("app").splitlines() if "The cache is lost" in line and "maxmemory" in line]


def test_a_lost_database_is_503_and_recovers(stack):
    started = stack.inspect("app")["State"]["StartedAt"]
    with stack.without("db"):
        assert stack.await_health("unavailable").status == 503
        failed = stack.site.post_json("/api/items", {"name": "lost"})
        assert failed.status == 503
        assert failed.json["error"]["request_id"] == failed.headers["X-Request-ID"]
        assert stack.site.get("/items").status == 503
        assert stack.site.get("/health/live").status == 200, "alive, though of no use"
    assert stack.site.post_json("/api/items", {"name": "back"}).status == 201
    assert stack.inspect("app")["State"]["StartedAt"] == started


def test_a_restart_of_the_database_costs_no_request_after_it(stack):
    """The connections that the pool kept are dead; each is tested before it is used."""
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: stack.site.get("/health"), range(60)))
    stack.compose("restart", "db")
    stack.await_healthy("db")
    statuses = [stack.site.post_json("/api/items", {"name": "after a restart"}).status for _ in range(10)]
    assert statuses == [201] * 10


@pytest.mark.parametrize("service", ["nginx", "app"])
def test_a_health_check_asks_no_proxy(prod, service):
    """Docker puts the proxy of its client's configuration into each container."""
    test = prod.inspect(service)["Config"]["Healthcheck"]["Test"]
    command = ["sh", "-c", test[1]] if test[0] == "CMD-SHELL" else test[1:]
    proxies = [f"--env={name}_proxy=http://127.0.0.1:9" for name in ("http", "HTTP", "https", "HTTPS", "all")]
    docker("exec", *proxies, prod.container(service), *command)


@pytest.mark.parametrize("service", ["nginx", "app", "worker", "beat", "db", "redis", "certbot"])
def test_a_health_check_passes_beside_its_service_and_fails_without_it(prod, service):
    """The same command that Docker runs: in the container, and in one of the same service where nothing else runs."""
    test = prod.inspect(service)["Config"]["Healthcheck"]["Test"]
    command = ["sh", "-c", test[1]] if test[0] == "CMD-SHELL" else test[1:]
    until(lambda: prod.exec(service, *command) is not None)
    alone = prod.once(service, *command[1:], options=("--entrypoint", command[0]))
    assert alone.returncode not in (0, 125, 126, 127), alone.stderr
