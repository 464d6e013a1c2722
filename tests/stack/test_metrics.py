"""What Prometheus is told is right with several processes, and stays so when one is replaced."""

import math
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.engine import exec_in
from tests.shell import checked, docker
from tests.stack.test_background import LAST
from tests.wait import until

PROCESSES = 3


@pytest.fixture(scope="module")
def probe(prod):
    with prod.in_place(GUNICORN_PROCESSES=PROCESSES) as site:
        yield site


def scrape(site):
    answer = site.get("/metrics")
    assert answer.status == 200
    pairs = (line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    return {series: float(value) for series, value in pairs}


def count(site, *labels):
    """Of requests whose series has these labels."""
    found = scrape(site)
    names = [name for name in found if name.startswith("flask_http_request_duration_seconds_count{")]
    return sum(found[name] for name in names if all(label in name for label in labels))


def shell(site, script):
    return checked(exec_in(site.address, "sh", "-c", script)).stdout


def workers(site):
    look = "for p in /proc/[0-9]*; do [ $(cut -d' ' -f4 $p/stat) = 1 ] && echo ${p#/proc/}; done 2>/dev/null; true"
    gunicorn = "grep -qa gunicorn /proc/$p/cmdline && echo $p"
    script = f"tr '\\0' '\\n' </proc/1/cmdline | head -n 1; for p in $({look}); do {gunicorn}; done; true"
    master, *pids = shell(site, script).split()
    assert "python" in master
    return set(pids)


def files(site):
    return set(shell(site, "cd /tmp/metrics-* && ls").split())


def ask(prod, paths):
    with ThreadPoolExecutor(10) as pool:
        return [answer.status for answer in pool.map(prod.site.get, paths)]


def test_no_request_is_lost_or_counted_twice_when_a_process_is_replaced(prod, probe):
    rule = ('method="GET"', 'url_rule="/api/items/<int:item_id>"', 'status="404"')
    before = count(probe, *rule)
    ask(prod, [f"/api/items/{10**9 + number}" for number in range(90)])
    assert count(probe, *rule) == before + 90
    for round_ in range(1, 4):
        old, known = workers(probe), files(probe)
        assert len(old) == PROCESSES
        shell(probe, f"kill -KILL {min(old)}")
        until(lambda old=old: len(workers(probe) - old) == 1 and len(workers(probe)) == PROCESSES)
        assert count(probe, *rule) == before + 90 * round_
        ask(prod, [f"/api/items/{10**9 + number}" for number in range(90)])
        assert count(probe, *rule) == before + 90 * (round_ + 1)
        assert {re.sub(r"\d", "", name) for name in files(probe)} == {re.sub(r"\d", "", name) for name in known}
        assert {re.search(r"\d+", name)[0] for name in files(probe)} == {"0", "1", "2"}, "a slot a process, no more"


def test_strangers_make_no_series(prod, probe):
    def strange(name):
        for path in (f"/{name}", f"/api/{name}", f"/static/x/{name}", f"/items/{name}"):
            prod.site.get(f"{path}?{name}")
        for method in (name, f"X{name}"):
            prod.site.request(method, "/items")
            probe.request(method, "/items")
        probe.get(f"/{name}")

    strange("FIRST")
    before = scrape(probe).keys()
    for number in range(20):
        strange(f"OTHER{'X' * number}")
    assert scrape(probe).keys() == before
    assert not any("FIRST" in series for series in before)


def test_health_checks_and_scrapes_are_not_counted(prod, probe):
    before = count(probe)
    for path in ("/health", "/health/live", "/metrics"):
        assert probe.get(path).status == 200
    assert count(probe) == before
    prod.site.get("/")
    assert count(probe) == before + 1


def test_an_exception_is_counted(prod, probe):
    name = 'flask_http_request_exceptions_total{method="GET",status="500"}'
    before = scrape(probe).get(name, 0)
    prod.site.get("/boom")
    assert scrape(probe)[name] == before + 1


def test_the_pool_is_shown_for_all_processes_together(prod, probe):
    assert scrape(probe)["database_pool_size"] == PROCESSES * 30

    def shown():
        with ThreadPoolExecutor(8) as pool:
            waits = [pool.submit(prod.site.get, "/wait?seconds=3") for _ in range(8)]
            until(lambda: scrape(probe)["database_pool_checked_out"] == 8, within=4)
            return [wait.result().status for wait in waits] == [200] * 8

    until(shown, what="all of them at one moment")
    until(lambda: scrape(probe)["database_pool_checked_out"] == 0)


def test_connections_of_a_killed_process_are_not_shown_for_ever(prod, probe):
    with ThreadPoolExecutor(8) as pool:
        waits = [pool.submit(prod.site.request, "POST", "/wait?seconds=20") for _ in range(8)]
        until(lambda: scrape(probe)["database_pool_checked_out"] == 8)
        old = workers(probe)
        shell(probe, f"kill -KILL {' '.join(old)}")
        until(lambda: len(workers(probe) - old) == PROCESSES)
        assert {wait.result().status for wait in waits} == {502}
    until(lambda: scrape(probe)["database_pool_checked_out"] == 0)


def test_a_reload_counts_on_and_shows_the_pools_of_the_living(prod, probe):
    """A HUP: the new processes start beside the former ones, so they have other slots."""
    prod.site.get("/items")
    before = count(probe)
    for _ in range(2):
        old = workers(probe)
        docker("kill", "--signal", "HUP", probe.address)
        until(lambda old=old: not workers(probe) & old and len(workers(probe)) == PROCESSES)
        until(lambda: scrape(probe)["database_pool_size"] == PROCESSES * 30)
    assert count(probe) == before


def test_hits_and_misses_of_the_cache_are_counted(prod, probe):
    def counted():
        prod.site.post_json("/api/items", {"name": "a list to cache"})
        before = scrape(probe)
        for _ in range(5):
            prod.site.get("/api/items?per_page=7")
        after = scrape(probe)
        return [after[name] - before.get(name, 0) for name in ("cache_misses_total", "cache_hits_total")]

    until(lambda: counted() == [1, 4], what="no answer of Redis is late")


def test_the_queue_is_shown_as_long_as_it_is(prod, probe):
    with prod.without("beat"), prod.without("worker"):
        try:
            prod.redis("rpush celery one two three")
            prod.redis(f"rpush {LAST} four")
            until(lambda: scrape(probe)["celery_queue_length"] == 4)
        finally:
            prod.redis(f"del celery {LAST}")
        assert scrape(probe)["celery_queue_length"] == 0


@pytest.mark.parametrize(("take", "bring"), [("pause", "unpause"), ("stop", "start")])
def test_a_lost_redis_costs_a_scrape_its_timeout_and_no_more(prod, probe, take, bring):
    until(lambda: scrape(probe)["cache_lost"] == 0)
    prod.compose(take, "redis")
    took = []
    try:
        for _ in range(PROCESSES * 2):
            started = time.monotonic()
            seen = scrape(probe)
            took.append(time.monotonic() - started)
            assert seen["cache_lost"] == 1
            assert math.isnan(seen["celery_queue_length"])
        assert min(took) < 2 * 0.5, "REDIS_TIMEOUT, once"
    finally:
        prod.compose(bring, "redis")
        prod.await_health("ok")
    until(lambda: scrape(probe)["cache_lost"] == 0)


@pytest.mark.parametrize(
    "path", ["/metrics", "//metrics", "/%6detrics", "/./metrics", "/metrics?x=/", "/x/%2e%2e/metrics"]
)
def test_nobody_outside_reads_them(stack, path):
    answer = stack.site.get(path)
    assert answer.status in (400, 404)
    assert "flask_http" not in answer.text


def test_inside_the_network_they_are_read_without_nginx(prod):
    read = "from urllib.request import urlopen; print(urlopen('http://app:8000/metrics').read().decode())"
    assert "flask_exporter_info" in prod.once("app", "python", "-c", read).stdout


def test_they_can_be_switched_off(prod):
    script = "from app import create_app; print(create_app().test_client().get('/metrics', base_url='http://app').status_code)"
    assert prod.once("app", "python", "-c", script, environment={"METRICS": "off"}).stdout.strip() == "404"
