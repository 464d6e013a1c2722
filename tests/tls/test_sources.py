"""Certificates that come another way: by DNS, from your own files, or not at all, behind somebody else's TLS."""

import re
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.shell import run
from tests.stack.conftest import DOMAIN
from tests.tls.curl import curl
from tests.tls.nameserver import KEY, PORT, SECRET, nameserver
from tests.tls.pebble import DIRECTORY, FOLDER
from tests.wait import until


@contextmanager
def settings(stack, *services, **environment):
    """The stack with these settings, and then without them again."""
    before = stack.issued()
    stack.compose("up", "--detach", "--build", *services, **environment)
    try:
        yield
    finally:
        stack.compose("up", "--detach", "--build", *services)
        until(lambda: stack.issued() == before, what="the certificate of before is served")


def pair(name, *, key_of=None):
    """Files of a certificate and a key as a person has them. Returns their settings."""
    certificate, key = FOLDER.resolve() / f"{name}.pem", FOLDER.resolve() / f"{name}-key.pem"
    own = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{DOMAIN}")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    run("openssl", "req", "-x509", *curve, "-noenc", "-days", "9", *own, "-keyout", str(key), "-out", str(certificate))
    key.chmod(0o644)
    return {"TLS_CERT_FILE": str(certificate), "TLS_KEY_FILE": key_of or str(key)}


@pytest.mark.long
def test_a_wildcard_by_dns_needs_no_port_80(tls, authority, first):
    here = tls.environment["TEST_DNS"]
    credentials = FOLDER.resolve() / "rfc2136.ini"
    fields = {"server": here, "port": PORT, "name": KEY, "secret": SECRET, "algorithm": "HMAC-SHA256"}
    credentials.write_text("".join(f"dns_rfc2136_{name} = {value}\n" for name, value in fields.items()))
    credentials.chmod(0o644)
    plugin = {"DNS_PLUGIN": "rfc2136", "DNS_CREDENTIALS_FILE": str(credentials), "DNS_PROPAGATION": "1"}
    plugin |= {"DOMAIN_ALIASES": f"*.{DOMAIN}", "ACME_SERVER": f"{DIRECTORY}?dns"}
    tls.front.hosts[DOMAIN] = "elsewhere"  # nobody gets through by http
    before = tls.issued()
    try:
        with nameserver(f"{DOMAIN}.") as updates, settings(tls, "certbot", "nginx", **plugin):
            tls.await_other_than(before)
            names = tls.compose(
                *("exec", "-T", "nginx", "openssl", "x509", "-noout", "-ext", "subjectAltName"),
                *("-in", "/run/nginx/tls/fullchain.pem"),
            )
            assert set(re.findall(r"DNS:(\S+?),?(?=\s|$)", names)) == {DOMAIN, f"*.{DOMAIN}"}
            assert {(action, name) for action, name, _ in updates} == {
                ("set-txt", f"_acme-challenge.{DOMAIN}."),
                ("clear-txt", f"_acme-challenge.{DOMAIN}."),
            }
            assert curl(tls, "h2", f"any.{DOMAIN}", "/x?y=1") == f"308 https://{DOMAIN}/x?y=1"
    finally:
        tls.front.hosts.pop(DOMAIN)


def test_a_dns_plugin_that_is_not_locked_ends_the_build_with_its_name(tls):
    with pytest.raises(AssertionError, match=r"DNS_PLUGIN=nosuch is not in certbot/dns\.in"):
        tls.compose("build", "certbot", DNS_PLUGIN="nosuch")


def test_your_own_certificate_is_served_and_a_new_one_at_its_place_too(tls, first):
    own = pair("own")
    with settings(tls, "nginx", "certbot", **own):
        mine = Path(own["TLS_CERT_FILE"]).read_text().strip()
        until(lambda: tls.site.certificate() == mine)
        assert curl(tls, "h2", DOMAIN, "/", "%{http_code} %header{strict-transport-security}").startswith("200 max-age")
        until(lambda: "renewing it is yours" in tls.said("certbot"))
        new = pair("own")  # written over the old one
        mine = Path(new["TLS_CERT_FILE"]).read_text().strip()
        until(lambda: tls.site.certificate() == mine)


def test_your_own_pair_that_does_not_fit_is_told_and_a_placeholder_served(tls, first):
    pair("other")
    own = pair("own", key_of=str(FOLDER.resolve() / "other-key.pem"))
    with settings(tls, "nginx", **own):
        until(lambda: "must belong together" in tls.said("nginx"))
        tls.await_healthy("nginx")


# "Somebody else's TLS" is the test container here: it is a proxy where its address is trusted.
ASKED = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7, 198.51.100.9"}


@pytest.fixture
def behind(tls, first):
    @contextmanager
    def off(networks):
        with settings(tls, "nginx", "certbot", TLS="off", TRUSTED_PROXIES=networks):
            until(lambda: tls.http.get("/health/live", headers=ASKED).status)
            yield tls.http

    return off


def client_seen(page):
    return re.search(r"<dt>Address</dt><dd><code>([^<]+)", page).group(1)


def test_behind_somebody_elses_tls_its_word_counts(tls, behind):
    here = tls.environment["TEST_DNS"]
    with behind(f"{here}/32, 198.51.100.0/24") as site:
        page = site.get("/", headers=ASKED)
        assert page.status == 200
        assert client_seen(page.text) == "203.0.113.7", "not the one of a proxy before it"
        assert "<dt>Scheme</dt><dd><code>https</code>" in page.text
        assert page.headers["Strict-Transport-Security"] == "max-age=63072000"
        plain = site.get("/x?y=1", headers={"X-Forwarded-Proto": "http"})
        assert (plain.status, plain.headers["Location"]) == (308, f"https://{DOMAIN}/x?y=1")
        assert "Strict-Transport-Security" not in plain.headers
        assert site.get("/", host=f"www.{DOMAIN}", headers=ASKED).headers["Location"] == f"https://{DOMAIN}/"
        tls.await_healthy("nginx", "certbot")
        until(lambda: "TLS=off" in tls.said("certbot"))


def test_behind_somebody_elses_tls_anybody_elses_word_does_not(behind):
    with behind("203.0.113.0/24") as site:
        assert site.get("/", headers=ASKED).status == 308
