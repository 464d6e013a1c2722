"""make maintenance: visitors are told to come back, and the rest goes on."""

from contextlib import contextmanager

import pytest

from tests.shell import run
from tests.stack.conftest import nginx_with
from tests.wait import until


@contextmanager
def maintenance(stack):
    switch = {"COMPOSE_PROJECT_NAME": stack.project, **stack.environment}
    said = run("make", "maintenance", "on", **switch).stdout
    assert "make maintenance off" in said
    try:
        yield
    finally:
        run("make", "maintenance", "off", **switch)
        until(lambda: stack.site.get("/").status == 200, what="open again")


def test_visitors_are_told_and_the_rest_goes_on(prod):
    static = prod.site.get("/").text.partition('href="/static/')[2].partition('"')[0]
    with maintenance(prod):
        page, api = prod.site.get("/"), prod.site.post_json("/api/items", {"name": "late"})
        assert (page.status, api.status) == (503, 503)
        assert int(page.headers["Retry-After"]) >= 60
        assert "being worked on" in page.text
        assert api.json["error"]["status"] == 503
        for path in ("/health", "/health/live", f"/static/{static}"):
            assert prod.site.get(path).status == 200, path
        assert prod.http.get("/.well-known/acme-challenge/none").status == 404, "the authority is served, too"
        assert prod.http.get("/").status == 308
        assert prod.inspect("nginx")["State"]["Health"]["Status"] == "healthy"


def test_it_lasts_when_nginx_is_started_anew(prod):
    with maintenance(prod):
        prod.compose("restart", "nginx")
        until(lambda: prod.site.get("/").status == 503, what="closed")


def test_who_is_named_is_let_in(prod):
    with nginx_with(prod, MAINTENANCE_ALLOW="10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16"), maintenance(prod):
        assert prod.site.get("/").status == 200


@pytest.mark.parametrize("wanted", ["", "maybe"])
def test_what_is_neither_on_nor_off_is_refused(wanted):
    result = run("scripts/maintenance.sh", wanted, check=False)
    assert result.returncode == 1
    assert "on or off" in result.stderr
