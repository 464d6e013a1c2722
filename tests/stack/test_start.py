"""A stack that can not start says why, once, and names the remedy."""

import pytest

from tests.engine import exec_in
from tests.shell import run
from tests.wait import until

LONG = ".".join(("a" * 63, "b" * 63, "c" * 63, "d" * 56, "test"))  # as long as DNS takes


def test_every_fault_of_the_settings_is_told_at_once_and_no_value(prod):
    faults = {"SECRET_KEY": "hunter2", "DATABASE_POOL_SIZE": "many", "PROXY_HOPS": "one", "DEBUG": "1"}
    faults |= {"CORS_ORIGINS": "elsewhere", "TRUSTED_HOSTS": "https://example.net", "FORCE_HTTPS": "perhaps"}
    result = prod.once("app", environment=faults)
    said = result.stdout + result.stderr
    assert result.returncode != 0
    for name, value in faults.items():
        assert name in said
        assert value == "1" or value not in said
    assert "Traceback" not in said


def test_an_unknown_environment_is_told_what_is_allowed(prod):
    result = prod.once("app", environment={"APP_ENV": "Prod"})
    assert result.returncode != 0
    assert "Dev, Production, Test" in result.stdout + result.stderr


def test_without_a_domain_compose_says_where_to_set_it():
    result = run("docker", "compose", "-f", "compose.prod.yaml", "config", "-q", check=False, DOMAIN="")
    assert result.returncode != 0
    assert "DOMAIN" in result.stderr
    assert "make setup" in result.stderr


def test_migrations_wait_for_the_database_a_line_a_try_and_then_give_up(prod):
    elsewhere = {"DATABASE_URL": "postgresql://app@nowhere.invalid/app"}
    result = prod.once("migrate", "flask", "wait-for-database", "--limit", "3", environment=elsewhere)
    said = result.stdout + result.stderr
    assert result.returncode == 1
    assert said.count("nowhere.invalid") >= 2
    assert "Traceback" not in said


def test_certbot_without_an_authority_says_so_in_one_line_and_waits(prod):
    until(lambda: any("next try in" in line for line in prod.logs("certbot").splitlines()[-1:]))
    said = ("next try in", "asking the authority all the same")  # the latter from the third try on
    lines = prod.logs("certbot").splitlines()  # after a restart it says the same of the tries before
    assert all(any(words in line for words in said) for line in lines), lines
    assert prod.inspect("certbot")["State"]["Running"]


@pytest.mark.parametrize("domain", ["", "localhost"])
def test_certbot_without_a_public_name_says_what_to_set(prod, domain):
    loop = "python3 /opt/flagstone/renew.py & until [ -e /tmp/heartbeat ]; do sleep 0.1; done; kill $!; wait; true"
    result = prod.once("certbot", "sh", "-c", loop, environment={"DOMAIN": domain})
    assert "set DOMAIN in .env" in result.stdout
    assert result.stdout.count("\n") == 1


def test_certbot_gets_the_time_that_dns_takes(prod):
    code = "import renew; print(renew.CERTBOT_AT_MOST - int(renew.PROPAGATION))"
    look = ("certbot", "env", "PYTHONPATH=/opt/flagstone", "python3", "-c", code)
    assert int(prod.once(*look, environment={"DNS_PROPAGATION": "600"}).stdout) >= 300
    assert "DNS_PROPAGATION is a number of seconds" in prod.once(*look, environment={"DNS_PROPAGATION": "5m"}).stderr


def test_nginx_serves_a_placeholder_outside_live_until_a_certificate_is_issued(prod):
    look = "ls /etc/letsencrypt; openssl x509 -noout -subject -in /run/nginx/tls/fullchain.pem"
    said = prod.exec("nginx", "sh", "-c", look)
    assert "placeholder" in said
    assert "current" not in said


def test_a_placeholder_locks_nobody_out(prod):
    assert "Strict-Transport-Security" not in prod.site.get("/").headers


@pytest.fixture(scope="module")
def started_with(prod):
    """A function that starts nginx with these settings, all of them in one container: that takes a quarter as long."""
    config = prod.inspect("nginx")["Config"]
    with prod.another("nginx", "--entrypoint", "sleep infinity") as idle:
        yield lambda settings: exec_in(idle, *config["Entrypoint"], *config["Cmd"], **settings)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"TLS": "off"}, "TLS=off needs TRUSTED_PROXIES"),
        ({"TLS": "no"}, "TLS is on, or off"),
        ({"TRUSTED_PROXIES": "10.0.0.0/64"}, "trusted-proxies.conf"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8, cloudflare"}, "TRUSTED_PROXIES are networks such as"),
        ({"TRUSTED_PROXIES": "cloudflare"}, '"cloudflare" is none'),
        ({"UPSTREAM": "http://app:8000"}, "UPSTREAM is a name and a port"),
        ({"CONNECTION_LIMIT": "many"}, "CONNECTION_LIMIT is a number"),
        ({"CONNECTION_LIMIT": "100000"}, "CONNECTION_LIMIT is a number"),
        ({"EDGE_CACHE_SIZE": "64"}, "EDGE_CACHE_SIZE is a size such as"),
        ({"EDGE_CACHE_SIZE": "64m inactive=9d"}, "EDGE_CACHE_SIZE is a size such as"),
        ({"HSTS": 'x"; return 200'}, "HSTS is a value such as"),
        ({"CSP": 'default-src "self"'}, "CSP is a Content-Security-Policy"),
        ({"CSP": "default-src $host"}, "CSP is a Content-Security-Policy"),
        ({"CSP": "default-src 'self'\nSet-Cookie: a=b"}, "CSP is a Content-Security-Policy"),
        ({"CSP_REPORT_ONLY": "yes"}, "CSP_REPORT_ONLY is on,"),
        ({"CSP_REPORT_ONLY": "img-src $host"}, "CSP_REPORT_ONLY is a Content-Security-Policy"),
        ({"REFERRER_POLICY": "sometimes"}, "REFERRER_POLICY is a value such as"),
        ({"REFERRER_POLICY": "origin\nno-referrer"}, "REFERRER_POLICY is a value such as"),
        ({"COOP": 'unsafe-none" always; return 200'}, "COOP is same-origin, same-origin-allow-popups"),
        ({"CORP": "$host"}, "CORP is same-origin, same-site or cross-origin"),
        ({"PERMISSIONS_POLICY": "camera=(), $host"}, "PERMISSIONS_POLICY is a list such as"),
        ({"PERMISSIONS_POLICY": "camera=()\\"}, "PERMISSIONS_POLICY is a list such as"),
        ({"PERMISSIONS_POLICY": "camera=(),\ngeolocation=()"}, "PERMISSIONS_POLICY is a list such as"),
        ({"RATE_LIMIT": "20r/s\n30r/s"}, "RATE_LIMIT is a number of requests"),
        ({"RATE_LIMIT": "20"}, "RATE_LIMIT is a number of requests"),
        ({"RATE_LIMIT": "0r/s"}, "RATE_LIMIT is a number of requests"),
        ({"LOGIN_RATE_LIMIT": "1r/s; return 200"}, "LOGIN_RATE_LIMIT is a number of requests"),
        ({"DOMAIN": "Example.test"}, "lower case"),
        ({"DOMAIN": "https://example.test"}, "no scheme"),
        ({"DOMAIN": "example.test/"}, "no scheme"),
        ({"DOMAIN": "example.test:443"}, "no scheme"),
        ({"DOMAIN": "a;b"}, "DOMAIN"),
        ({"DOMAIN": "www.bücher.example"}, "punycode: www.xn--bcher-kva.example for www.bücher.example"),
        ({"DOMAIN_ALIASES": "例え.test"}, "punycode: xn--r8jz45g.test for 例え.test"),
        ({"DOMAIN": f"a.{LONG}"}, "DNS knows no name of more than 253"),
    ],
)
def test_nginx_refuses_settings_that_cannot_work_by_their_name(started_with, wrong, said):
    result = started_with(wrong)
    assert result.returncode == 1
    assert said in result.stderr


def test_an_issued_pair_is_served_and_one_that_does_not_match_never(prod):
    """Put where certbot puts it, by a container of its image: first a wrong key, then the right one."""
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 9 -subj /CN=issued"
    folder = "/etc/letsencrypt/current"
    issue = f"{make} -keyout {folder}/key -out {folder}/fullchain.pem"
    spoil = f"{make} -keyout {folder}/privkey.pem -out /dev/null"

    def script(commands):
        prod.exec("certbot", "sh", "-ec", commands)

    try:
        script(f"mkdir -p {folder}; {issue}; {spoil}")
        issued = prod.exec("certbot", "cat", f"{folder}/fullchain.pem")
        until(lambda: "key values mismatch" in prod.said("nginx"))
        assert prod.site.certificate() != issued
        script(f"mv {folder}/key {folder}/privkey.pem")
        until(lambda: prod.site.certificate() == issued)
    finally:
        script(f"rm -r {folder}")
        prod.compose("restart", "nginx")
        prod.await_health("ok")


def test_a_name_as_long_as_dns_knows_is_served(prod):
    assert len(LONG) == 253
    result = prod.once("nginx", "nginx", "-t", environment={"DOMAIN": LONG, "DOMAIN_ALIASES": f"www.{LONG}"})
    assert result.returncode == 0, result.stderr


def test_nginx_refuses_to_start_unless_its_configuration_was_rendered(prod):
    """The image's template step exits 0 when it could not write; ours must not serve nothing in silence."""
    assert prod.once("nginx", environment={"NGINX_ENVSUBST_OUTPUT_DIR": "/nowhere"}).returncode != 0
