"""Where a visitor is sent, in production: always to HTTPS on the bare domain, with path and query kept."""

import http.client
import ssl

import pytest

from tests.stack.conftest import DOMAIN
from tests.stack.site import Site

PATHS = ["/", "/notes?page=2&q=a%20b", "/static/style.css"]


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
    assert prod.http.request("POST", "/api/notes", body=b"{}").status == 308


def test_the_acme_path_stays_on_http(prod):
    folder = "/var/www/acme/.well-known/acme-challenge"
    prod.compose("exec", "-T", "certbot", "sh", "-c", f"mkdir -p {folder} && echo proof >{folder}/t")
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


def test_development_answers_localhost_only(dev):
    assert dev.site.get("/health/live").status == 200
    assert Site(dev.site.address, 8080, "127.0.0.1:8080").get("/health/live").status == 200
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        dev.site.get("/", host="rebound.test")
