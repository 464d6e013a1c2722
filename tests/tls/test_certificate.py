"""The life of a certificate, with a real certbot and a real ACME server. The tests follow it in order."""

import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256

import pytest

from tests.long import long_but
from tests.stack.conftest import DOMAIN
from tests.tls.curl import clients, curl
from tests.tls.pebble import DIRECTORY, FLEETING
from tests.wait import until

WWW = f"www.{DOMAIN}"
STATE = "/etc/letsencrypt/https-acme-14000-dir"
SERVED = "/run/nginx/tls/fullchain.pem"


def describe(stack, *options):
    return stack.exec("nginx", "openssl", "x509", "-noout", "-in", SERVED, *options)


def names(stack):
    return {name.strip() for name in describe(stack, "-ext", "subjectAltName").splitlines()[1].split(",")}


def test_one_up_obtains_a_certificate_and_nginx_serves_it(tls, authority, first):
    assert "placeholder" not in describe(tls, "-subject", "-issuer")
    assert authority.orders() == 1


def test_it_verifies_against_the_authority_for_each_of_its_names(tls, authority, first):
    context = ssl.create_default_context(cadata=authority.roots())

    def verifies(name):
        with context.wrap_socket(tls.http.connect_to(8443), server_hostname=name) as connection:
            return connection.version() == "TLSv1.3"

    for name in (DOMAIN, WWW):
        until(lambda name=name: verifies(name))  # by each worker of nginx after three seconds
    with pytest.raises(ssl.SSLError), context.wrap_socket(tls.http.connect_to(8443), server_hostname="other.test"):
        pass


def test_its_key_is_ecdsa_on_p256(tls, first):
    assert "NIST CURVE: P-256" in describe(tls, "-text")


HOW = [("restart", "certbot", "nginx"), ("up", "--detach", "--wait", "--force-recreate")]


@pytest.mark.parametrize("how", long_but(HOW[:1], HOW))
def test_a_certificate_that_is_good_is_never_ordered_again(tls, authority, first, how):
    before, checks = authority.orders(), tls.checks()
    tls.compose(*how)
    if how[0] == "up":
        checks = 0  # a new container has a new log
    until(lambda: tls.checks() > checks)
    tls.await_health("ok")
    assert authority.orders() == before
    assert tls.issued() == first


def test_names_added_and_removed_take_one_order_each(tls, authority, first):
    pem, orders = tls.issued(), authority.orders()
    more = {"DOMAIN_ALIASES": f"{WWW} shop.{DOMAIN}"}
    tls.compose("up", "--detach", "--no-deps", "certbot", "nginx", **more)
    pem = tls.await_other_than(pem)
    assert names(tls) == {f"DNS:{name}" for name in (DOMAIN, WWW, f"shop.{DOMAIN}")}
    until(tls.checks)
    tls.compose("restart", "certbot")
    until(lambda: tls.checks() > 1)
    assert authority.orders() == orders + 1
    tls.compose("up", "--detach", "--no-deps", "certbot", "nginx")
    tls.await_other_than(pem)
    assert names(tls) == {f"DNS:{name}" for name in (DOMAIN, WWW)}
    assert authority.orders() == orders + 2


@contextmanager
def asking_all_the_time(stack):
    """Clients that keep their connection, by each version of HTTP, and ones that make a new one for each request."""
    stop, answers = threading.Event(), []

    def ask(protocol):
        while not stop.is_set():
            answers.append((protocol, curl(stack, protocol, DOMAIN, "/health/live")))

    new = [threading.Thread(target=ask, args=(protocol,)) for protocol in ("https", "h2", "h3")]
    with clients(stack, f"https://{DOMAIN}/health/live?[1-900]") as kept:
        for thread in new:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in new:
                thread.join()
        for client in kept:
            asked, bad, connections = client.stop()
            assert not bad, f"{client.protocol}: {bad}"
            assert asked > 20, f"{client.protocol}: {asked}"
            assert connections == 1, f"{client.protocol} had to connect {connections} times"
            print(f"{client.protocol}: {asked} requests over one connection")
    assert not [answer for answer in answers if answer[1] != "200"]
    assert len(answers) > 30
    print(f"{len(answers)} requests over as many connections")


def test_a_renewal_that_the_authority_asks_for_fails_no_request(tls, authority, first):
    """By ACME Renewal Information. No connection is lost either: nothing is reloaded."""
    chain = tls.compose(
        "exec",
        "-T",
        "certbot",
        "sh",
        "-c",
        f"sed -i /ari_retry_after/d {STATE}/renewal/*.conf; cat {STATE}/live/{DOMAIN}/cert.pem",
    )
    before = tls.issued()
    authority.wants_renewal_of(chain)
    with asking_all_the_time(tls):
        tls.certbot("--now")
        tls.await_other_than(before)
        until(lambda: curl(tls, "h3", DOMAIN, "/") == "200")
    assert "NIST CURVE: P-256" in describe(tls, "-text")


@pytest.mark.long
def test_another_server_has_a_state_of_its_own_and_the_way_back_orders_nothing(tls, authority, first):
    """From staging to production with one variable and one up."""
    before, orders = tls.issued(), authority.orders()
    tls.compose("up", "--detach", "certbot", ACME_SERVER=f"{DIRECTORY}?production")
    tls.await_other_than(before)
    assert authority.orders() == orders + 1
    tls.compose("up", "--detach", "certbot")
    until(lambda: tls.issued() == before, what="the first server's certificate is served again")
    assert authority.orders() == orders + 1


@pytest.mark.long
def test_a_profile_of_short_life_is_renewed_in_time_and_nginx_is_unhealthy_while_less_than_two_days_are_left(
    tls, first
):
    before = tls.issued()
    tls.compose("up", "--detach", "certbot", ACME_SERVER=f"{DIRECTORY}?short", ACME_PROFILE="fleeting")
    short = tls.await_other_than(before)
    start, end = (
        datetime.strptime(line.split("=")[1], "%b %d %H:%M:%S %Y %Z") for line in describe(tls, "-dates").splitlines()
    )
    assert FLEETING - 2 <= (end - start).total_seconds() <= FLEETING
    until(lambda: tls.inspect("nginx")["State"]["Health"]["Status"] == "unhealthy")
    assert "will expire" in tls.inspect("nginx")["State"]["Health"]["Log"][-1]["Output"]
    assert tls.site.get("/").status == 200
    tls.certbot("--now")
    tls.await_other_than(short)
    tls.compose("up", "--detach", "certbot")
    until(lambda: tls.issued() == before)
    tls.await_healthy("nginx")


def test_a_dry_run_orders_at_the_authority_and_keeps_nothing(tls, authority, first):
    before, orders = tls.issued(), authority.orders()
    assert "went well" in tls.certbot("--dry-run")
    # Two where Pebble takes an authorization for proven, as it does once in a hundred even when it is told never to:
    # https://github.com/letsencrypt/pebble/blob/main/wfe/wfe.go. certbot then withdraws it, and orders anew.
    assert orders < authority.orders() <= orders + 2
    assert tls.issued() == before


def test_a_dry_run_and_another_check_wait_for_each_other(tls, first):
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(tls.certbot, ["--dry-run", "--dry-run"]))
    assert all("went well" in text for text in said), said


def test_the_status_says_what_is_served_and_what_comes_next(tls, first):
    said = tls.exec("certbot", "python3", "/opt/flagstone/status.py")
    fields = {line[:11].strip(): line[12:] for line in said.splitlines()}
    assert fields["names"] == f"{DOMAIN} {WWW}"
    assert "Pebble" in fields["issuer"]
    assert "UTC, in 89 days" in fields["expires"]
    assert fields["on disk"].replace(":", "") == sha256(ssl.PEM_cert_to_DER_cert(tls.issued())).hexdigest()
    assert fields["served"] == f"{fields['on disk']} (the same)"
    assert fields["last error"] == "none"
    assert fields["next check"] in ("in 11 h", "in 12 h")
