"""The life of a certificate, with a real certbot and a real ACME server. The tests follow it in order."""

import ssl
import threading

import pytest

from tests.stack.conftest import DOMAIN
from tests.tls.pebble import DIRECTORY
from tests.wait import until

STATE = "/etc/letsencrypt/https-acme-14000-dir"
LIVE = "/etc/letsencrypt/current"


MAKE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 9 -subj /CN=other"
    " -keyout /run/nginx/placeholder/privkey.pem -out /run/nginx/placeholder/fullchain.pem"
)


def on_disk(stack):
    """The leaf that certbot keeps, as PEM; empty where there is none."""
    return stack.compose("exec", "-T", "nginx", "sh", "-c", f"cat {LIVE}/cert.pem 2>/dev/null || true")


def issued(stack):
    pem = on_disk(stack)
    assert pem
    assert stack.site.certificate() == pem
    return pem


def describe(stack, *options):
    return stack.compose("exec", "-T", "nginx", "openssl", "x509", "-noout", "-in", f"{LIVE}/cert.pem", *options)


@pytest.fixture(scope="session")
def first(tls, authority):
    """The certificate that one `up -d` on an empty volume leads to."""
    assert tls.site.get("/").status == 200, "nginx serves its placeholder meanwhile"
    tls.compose("up", "--detach")
    return until(lambda: issued(tls), within=30, what="the issued certificate is served")


def test_one_up_obtains_a_certificate_and_nginx_serves_it(tls, authority, first):
    assert "placeholder" not in describe(tls, "-subject", "-issuer")
    assert authority.orders() == 1


def test_it_verifies_against_the_authority_for_each_of_its_names(tls, authority, first):
    context = ssl.create_default_context(cadata=authority.roots())
    for name in (DOMAIN, f"www.{DOMAIN}"):
        with context.wrap_socket(tls.http.connect_to(8443), server_hostname=name) as connection:
            assert connection.version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError), context.wrap_socket(tls.http.connect_to(8443), server_hostname="other.test"):
        pass


def test_its_key_is_ecdsa_on_p256(tls, first):
    assert "NIST CURVE: P-256" in describe(tls, "-text")


@pytest.mark.parametrize("how", [("restart", "certbot", "nginx"), ("up", "--detach", "--wait", "--force-recreate")])
def test_a_certificate_that_is_good_is_never_ordered_again(tls, authority, first, how):
    before, checks = authority.orders(), tls.compose("logs", "certbot").count("is good")
    tls.compose(*how)
    if how[0] == "up":
        checks = 0  # a new container has a new log
        authority.points_to(tls.address("nginx", "edge"))
    until(lambda: tls.compose("logs", "certbot").count("is good") > checks, within=30)
    tls.await_health("ok")
    assert authority.orders() == before
    assert issued(tls) == first


def test_a_renewal_is_served_within_seconds_and_fails_no_request(tls, authority, first):
    """New connections and kept ones, all the time."""
    failures, answered, stop = [], [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                answered.append(tls.site.get("/health/live").status)
            except OSError as error:
                failures.append(error)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        renew = ("renew", "--force-renewal", "--no-random-sleep-on-renew")
        folders = ("--config-dir", STATE, "--work-dir", "/tmp/work", "--logs-dir", "/tmp/log")
        tls.compose("exec", "-T", "certbot", "certbot", *renew, *folders)
        until(lambda: issued(tls) != first, within=20, what="the renewed certificate is served")
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert not failures
    assert set(answered) == {200}
    assert len(answered) > 100


def test_another_server_has_a_state_of_its_own_and_the_way_back_orders_nothing(tls, authority, first):
    """From staging to production with one variable and one up."""
    before, orders = issued(tls), authority.orders()
    tls.compose("up", "--detach", "certbot", ACME_SERVER=f"{DIRECTORY}?production")
    until(lambda: issued(tls) != before, within=30, what="the other server's certificate is served")
    assert authority.orders() == orders + 1
    tls.compose("up", "--detach", "certbot")
    until(lambda: issued(tls) == before, within=30, what="the first server's certificate is served again")
    assert authority.orders() == orders + 1


def test_a_lost_reload_is_done_again(tls, first):
    """Served equals on disk: here nginx is given another pair behind the watcher's back."""
    pem = issued(tls)
    client = f"openssl s_client -connect 127.0.0.1:8443 -servername {DOMAIN} </dev/null 2>/dev/null"
    script = f"""
        mkdir -p /run/nginx/placeholder; cd /run/nginx; {MAKE}
        cp -r tls kept; cp placeholder/*.pem tls/; nginx -s reload
        until {client} | openssl x509 -noout -subject | grep -q other; do sleep 0.1; done
        cp kept/*.pem tls/
    """
    tls.compose("exec", "-T", "nginx", "sh", "-ec", script, timeout=20)
    assert tls.site.certificate() != pem
    until(lambda: issued(tls) == pem, within=15)


def test_nginx_is_unhealthy_when_what_it_serves_ends_within_two_days(tls):
    test = tls.inspect("nginx")["Config"]["Healthcheck"]["Test"][1]
    short = MAKE.replace("-days 9", "-days 1")
    alone = f"mkdir -p /run/nginx/placeholder; {short}; mv /run/nginx/placeholder /run/nginx/tls"
    result = tls.once("nginx", "-c", f"{alone}; curl() {{ :; }}; {test}", options=("--entrypoint", "sh"))
    assert result.returncode == 1
    assert "will expire" in result.stdout


def test_a_failure_is_slow_and_a_restart_does_not_make_it_faster(tls):
    """Two loops one after the other, of which the second may not try."""
    loop = "timeout 6 python3 /opt/flagstone/renew.py"
    dead = {"ACME_SERVER": "http://127.0.0.1:9/directory"}
    result = tls.once(
        "certbot", "sh", "-c", f"{loop}; {loop}; python3 /opt/flagstone/renew.py --now; {loop}", environment=dead
    )
    said = [line for line in result.stdout.splitlines() if line.startswith("certbot:")]
    assert "next try in 1 min" in said[0]
    assert "1 failed so far" in said[1]
    assert "next try in 1 min" in said[2]
    assert len(said) == 3
    assert issued(tls), "the site keeps what it has"
