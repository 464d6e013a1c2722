"""Where a visitor is sent, in production: always to HTTPS on the bare domain, with path and query kept."""

import http.client
import json
import ssl

import pytest

from tests.stack.conftest import DOMAIN, nginx_with
from tests.stack.site import Site

PATHS = ["/", "/items?page=2&q=a%20b", "/static/style.css"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", [DOMAIN, f"www.{DOMAIN}"])
def test_http_leads_to_https_on_the_bare_domain(prod, host, path):
    answer = prod.http.get(path, host=host)
    assert (answer.status, answer.headers["Location"]) == (308, f"https://{DOMAIN}{path}")


@pytest.mark.parametrize("path", PATHS)
def test_www_leads_to_the_bare_domain(prod, path):
    answer = prod.site.get(path, host=f"www.{DOMAIN}")
    assert (answer.status, answer.headers["Location"]) == (308, f"https://{DOMAIN}{path}")


def test_a_redirected_post_stays_a_post(prod):
    """308, unlike 301, forbids the client to turn it into a GET (RFC 9110, 15.4.9)."""
    assert prod.http.request("POST", "/api/items", body=b"{}").status == 308


def test_the_acme_path_stays_on_http(prod):
    folder = "/var/www/acme/.well-known/acme-challenge"
    prod.exec("certbot", "sh", "-c", f"mkdir -p {folder} && echo proof >{folder}/t")
    answer = prod.http.get("/.well-known/acme-challenge/t")
    assert (answer.status, answer.text) == (200, "proof\n")
    assert prod.http.get("/.well-known/acme-challenge/none").status == 404


@pytest.mark.parametrize("host", ["other.test", "127.0.0.1", f"{DOMAIN}.other.test", f"evil-{DOMAIN}"])
def test_an_unknown_host_is_closed_on_without_a_word(prod, host):
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        prod.http.get("/", host=host)
    with pytest.raises((ssl.SSLError, ConnectionResetError)):  # no certificate is shown either
        prod.site.get("/", host=host)


def test_a_known_name_does_not_open_the_door_to_an_unknown_host(prod):
    """The name in TLS is ours, the Host header is not: domain fronting."""
    assert prod.site.send(b"GET / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n") == b""


@pytest.mark.parametrize("host", ["10.0.0.5", "10.0.0.5:8080", "other.test"])
def test_a_load_balancer_may_ask_by_address_whether_the_application_serves(prod, host):
    answer = prod.http.get("/health/live", host=host, headers={"X-Forwarded-Host": "evil.test", "Cookie": "a=b"})
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert len(answer.headers.get_all("X-Request-ID")) == 1


def test_or_with_no_host_at_all_as_http_1_0_allows(prod):
    assert prod.http.send(b"GET /health/live HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    for path in (b"/", b"/health", b"/health/live/", b"/static/style.css"):
        assert prod.http.send(b"GET " + path + b" HTTP/1.0\r\n\r\n") == b"", path


def test_where_nothing_forwards_443_redirects_and_http_3_lead_to_the_port_that_is_there(prod):
    with nginx_with(prod, HTTPS_PUBLIC_PORT="8843"):
        for site in (prod.http, prod.site):
            assert site.get("/x?y", host=f"www.{DOMAIN}").headers["Location"] == f"https://{DOMAIN}:8843/x?y"
        assert prod.site.get("/").headers["Alt-Svc"] == 'h3=":8843"; ma=86400'


def test_behind_somebody_else_s_tls_nothing_asks_for_443(prod):
    settings = prod.compose("config", "--format", "json", TLS="off", TRUSTED_PROXIES="10.0.0.0/8")
    assert [port["target"] for port in json.loads(settings)["services"]["nginx"]["ports"]] == [8080]


def test_development_answers_localhost_only(dev):
    assert dev.site.get("/health/live").status == 200
    assert Site(dev.site.address, 8080, "127.0.0.1:8080").get("/health/live").status == 200
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        dev.site.get("/", host="rebound.test")
