"""/ops/ on the stack: behind its password, with true numbers, and an answer when Prometheus has none."""

import html
import re
import time
from contextlib import contextmanager

import pytest

from tests.shell import docker
from tests.stack.browser import SIZES, browser, look, visitor
from tests.stack.conftest import DOMAIN, nginx_with
from tests.unit.test_ops import login
from tests.wait import until

LOGIN_BURST = 6  # nginx/http/rate-limits.conf.template: the first, and its burst
TILE = re.compile(
    r'<section class="(\w+)">.*?<h2>([^<]*)</h2>.*?class="value">([^<]*)</p>.*?class="detail">([^<]*)', re.DOTALL
)


def password(stack):
    return (stack.folder / "secrets/ops_password").read_text()


@pytest.fixture
def page(monitored):
    """A function that gets it, as somebody who has the password."""
    return lambda: monitored.site.get("/ops/", headers=login("ops", password(monitored)))


def tiles(text):
    """State, value and detail of each, by name."""
    text = html.unescape(text).replace("\N{NO-BREAK SPACE}", " ")
    return {name: (state, value, detail) for state, name, value, detail in TILE.findall(text)}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        login("ops", "wrong"),
        {"X-Forwarded-User": "ops", "X-User": "ops", "Remote-User": "ops", "X-Forwarded-For": "127.0.0.1"},
        {"X-Original-URL": "/health", "X-Rewrite-URL": "/health", "X-Forwarded-Prefix": "/ops"},
    ],
)
def test_nobody_comes_in_without_the_password(monitored, headers):
    for path in ("/ops/", "/%6fps/", "/ops/?x", "/./ops/"):
        answer = monitored.site.get(path, headers=headers)
        assert answer.status in (401, 404), path
        assert 'class="tiles"' not in answer.text
    answer = monitored.site.get("/ops/", headers=headers)
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert answer.headers["Cache-Control"] == "no-store"
    assert monitored.http.get("/ops/", headers=headers).status == 308, "no password travels in the clear"


def test_whoever_guesses_is_stopped_early_and_nobody_else_is_counted(monitored, page):
    with nginx_with(monitored, LOGIN_RATE_LIMIT="1r/m"):
        assert {monitored.site.get("/ops/").status for _ in range(2 * LOGIN_BURST)} == {401}, "without a password"
        wrong = login("ops", "wrong")
        assert {monitored.site.get("/ops/", headers=wrong).status for _ in range(LOGIN_BURST)} == {401}
        assert page().status == 429, "not even with the right one"
        for path in ("//ops/", "/%6fps/", "/./ops/", "/ops%2f", "/ops/?next=/"):
            for method in ("GET", "HEAD", "POST"):
                assert monitored.site.request(method, path, headers=wrong).status == 429, (method, path)
        assert monitored.site.get("/", headers=wrong).status == 200


def test_it_shows_what_is_true(monitored, page):
    for _ in range(40):
        monitored.site.get("/")

    def complete():
        monitored.site.get("/boom")  # of a counter that has just come into being, no increase is seen
        answer = page()
        assert answer.status == 200
        seen = tiles(answer.text)
        assert not [name for name, (_, value, _) in seen.items() if value == "\N{EN DASH}"], seen
        assert seen["Errors"][1] != "0 %"
        assert seen["Site"][1] == "answers"
        return seen

    seen = until(complete, what="a value in each tile")
    ((_, limit),) = until(lambda: monitored.query("database_pool_size"))
    ((_, asked),) = until(lambda: monitored.query("count(up)"))
    assert seen["Latency"][1].endswith(" ms") or seen["Latency"][1].endswith(" s")
    assert seen["Database"][1].endswith(f" of {limit:.0f}")
    assert "has" in seen["Database"][2]
    assert re.fullmatch(r"\d+ jobs", seen["Queue"][1])
    assert seen["Release"][1:] == ("latest", seen["Release"][2])
    assert re.fullmatch(r"started \d+ \w+ ago", seen["Release"][2])
    assert re.fullmatch(r"\d+ (s|min) ago", seen["Backup"][1])
    assert seen["Certificate"][1] in ("59 d left", "60 d left")
    assert re.fullmatch(r"good until \d{4}-\d\d-\d\d", seen["Certificate"][2])
    assert seen["Monitoring"][1].endswith(f" of {asked:.0f}")


def test_it_is_kept_by_nobody_and_has_our_policy(page):
    answer = page()
    assert answer.headers.get_all("Cache-Control") == ["no-store"]
    assert answer.headers["X-Robots-Tag"] == "noindex"
    (policy,) = answer.headers.get_all("Content-Security-Policy")
    assert "unsafe" not in policy
    assert "<script" not in answer.text


@contextmanager
def frozen(stack):
    container = stack.container("prometheus")
    docker("pause", container)
    try:
        yield
    finally:
        docker("unpause", container)


@pytest.mark.parametrize("away", [frozen, lambda stack: stack.without("prometheus")], ids=["frozen", "stopped"])
def test_without_prometheus_it_says_so_soon(monitored, page, away):
    with away(monitored):
        began = time.monotonic()
        answer = page()
        assert time.monotonic() - began < 20, "its limit is 2 s, and nginx's a minute"
        assert answer.status == 200
        assert "Prometheus does not answer" in answer.text
        assert tiles(answer.text)["Release"][1] == "latest", "what needs no Prometheus"
    until(lambda: "Prometheus does not answer" not in page().text)


def test_an_alert_that_fires_is_on_it(monitored, page):
    with monitored.without("node-exporter"):

        def shown():
            text = page().text
            return tiles(text)["Monitoring"][0] == "warning" and "server does not answer Prometheus" in text

        until(shown, what="TargetDown on the page")
        with browser(monitored) as chromium:
            shoot(chromium, monitored, "phone", "light", "ops-alert")
            shoot(chromium, monitored, "desktop", "dark", "ops-alert")
    until(lambda: tiles(page().text)["Monitoring"][0] == "well")


def shoot(chromium, stack, size, scheme, name):
    credentials = {"username": "ops", "password": password(stack)}
    with visitor(chromium, size, http_credentials=credentials, color_scheme=scheme) as tab:
        tab.goto(f"https://{DOMAIN}/ops/")
        assert tab.locator(".tiles section").count() == 10
        look(tab, f"{name}-{scheme}", size)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_can_be_read_by_everybody(monitored, size, scheme):
    with browser(monitored) as chromium:
        shoot(chromium, monitored, size, scheme, "ops")
