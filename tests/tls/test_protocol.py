"""What a client meets: redirects over each version of HTTP, headers, and TLS as a scanner sees it."""

import json

import pytest

from tests.shell import run
from tests.stack.conftest import DOMAIN
from tests.tls.curl import command, curl
from tests.tls.pebble import FOLDER
from tests.wait import until

WWW, UNKNOWN, IP = f"www.{DOMAIN}", "unknown.test", "192.0.2.1"
PATHS = ["/", "/api/items?limit=1", "/.well-known/acme-challenge/there"]
HERE = f"https://{DOMAIN}"

# By protocol and host: what each of PATHS is answered with.
SECURE = {
    DOMAIN: ["200", "200", "404"],
    WWW: [f"308 {HERE}{path}" for path in PATHS],
    UNKNOWN: ["closed", "closed", "closed"],
    IP: ["closed", "closed", "closed"],
}
TABLE = {
    "http": {
        DOMAIN: [f"308 {HERE}/", f"308 {HERE}/api/items?limit=1", "200"],
        WWW: [f"308 {HERE}/", f"308 {HERE}/api/items?limit=1", "200"],
        UNKNOWN: ["closed", "closed", "closed"],
        IP: ["closed", "closed", "closed"],
    },
    "https": SECURE,
    "h2": SECURE,
    "h3": SECURE,
}
HSTS = "%header{strict-transport-security}"


@pytest.fixture(scope="module")
def token(tls, first):
    folder = "/var/www/acme/.well-known/acme-challenge"
    tls.exec("certbot", "sh", "-c", f"mkdir -p {folder} && echo there > {folder}/there")


@pytest.mark.parametrize("host", [DOMAIN, WWW, UNKNOWN, IP])
@pytest.mark.parametrize("protocol", TABLE)
def test_where_each_address_leads(tls, token, protocol, host):
    assert [curl(tls, protocol, host, path) for path in PATHS] == TABLE[protocol][host]


@pytest.mark.parametrize("protocol", ["https", "h2", "h3"])
def test_the_application_sees_one_site_whatever_the_version(tls, first, protocol):
    """In HTTP/3 there is no Host header, but :authority."""
    versions = {"https": "1.1", "h2": "2", "h3": "3"}
    assert curl(tls, protocol, DOMAIN, "/health", "%{http_version} %{http_code}") == f"{versions[protocol]} 200"
    page = run(*command(tls, protocol, f"{HERE}/")).stdout
    assert f"<dt>Host</dt><dd><code>{DOMAIN}</code>" in page
    assert "<dt>Scheme</dt><dd><code>https</code>" in page


@pytest.mark.parametrize("path", ["/", "/static/style.css", "/static/none", "/.git", "/api/none"])
def test_every_answer_says_that_https_is_for_good_and_that_http_3_is_there(tls, first, path):
    headers = tls.site.get(path).headers
    assert headers.get_all("Strict-Transport-Security") == ["max-age=63072000"]
    assert headers.get_all("Alt-Svc") == ['h3=":443"; ma=86400']


def test_the_redirect_from_www_says_so_too_and_plain_http_never(tls, first):
    """As https://hstspreload.org asks, and RFC 6797, 7.2."""
    assert curl(tls, "h2", WWW, "/", HSTS) == "max-age=63072000"
    assert curl(tls, "http", DOMAIN, "/", HSTS) == ""


@pytest.mark.long
def test_a_staging_certificate_locks_nobody_out_and_the_value_of_hsts_is_yours(tls, first):
    """A link to another server's folder, as ACME_SERVER=staging makes it."""
    before, folder = tls.issued(), "/etc/letsencrypt"
    tls.compose("up", "--detach", "--wait", "--no-deps", "nginx", HSTS="max-age=300; includeSubDomains; preload")
    assert curl(tls, "h2", DOMAIN, "/", HSTS) == "max-age=300; includeSubDomains; preload"
    link = tls.exec("certbot", "readlink", f"{folder}/current")

    def point(target):
        tls.exec("certbot", "ln", "-sfn", target, f"{folder}/current")

    try:
        tls.exec("certbot", "ln", "-s", link.split("/")[0], f"{folder}/staging")
        point(f"staging/live/{DOMAIN}")
        tls.compose("up", "--detach", "--wait", "--no-deps", "nginx")
        assert tls.issued() == before
        assert curl(tls, "h2", DOMAIN, "/", HSTS) == ""
    finally:
        point(link)
    tls.compose("restart", "nginx")
    until(lambda: curl(tls, "h2", DOMAIN, "/", HSTS) == "max-age=63072000")


REFUSED = {  # by what is wrong: the path, what curl says beside it, the status over HTTP/1.1, over 2 and 3
    "a method of one letter": ("/api/items", ("--request", "A"), "400", "400"),
    "101 headers": ("/api/items", tuple(f"--header=X-{number}: x" for number in range(101)), "431", "431"),
    "a body over the limit": ("/api/items", ("--data-binary", "@/dev/stdin"), "413", "413"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("protocol", ["https", "h2", "h3"])
def test_each_version_refuses_with_our_page_or_json_and_the_id_of_the_request(tls, first, protocol, what):
    path, options, over_1, over_others = REFUSED[what]
    told = ("--write-out", "%{stderr}%{http_code} %header{x-request-id}")
    asked = command(tls, protocol, *told, *options, f"{HERE}{path}")
    result = run(*asked, check=False, stdin="x" * 11 * 1024 * 1024)
    status, request_id = result.stderr.split()
    assert status == (over_1 if protocol == "https" else over_others)
    assert request_id in result.stdout
    assert f'"status":{status}' in result.stdout or "Back to the start" in result.stdout


# What testssl.sh finds at all, by its own name for it, and why it stays.
ACCEPTED = {
    "cert_revocation": "Pebble's certificates name no list of revoked ones; Let's Encrypt's do",
    "DNS_CAArecord": "yours to add: docs/https.md",
    "BREACH": "pages are compressed; none has a secret beside what a client sent (no CSRF token: flagstone/csrf.py)",
}


@pytest.mark.long
def test_a_scanner_finds_nothing_and_gives_the_best_grade(tls, authority, first):
    (FOLDER / "root.pem").write_text(authority.roots())
    report = FOLDER / "testssl.json"
    quiet = ("--quiet", "--color", "0", "--warnings", "off", "--jsonfile", str(report), "--overwrite")
    address = tls.address("nginx", "edge")
    target = ("--add-ca", str(FOLDER / "root.pem"), "--ip", address, f"{DOMAIN}:8443")
    print(run("testssl", *quiet, *target, check=False, timeout=300).stdout)
    found = {entry["id"]: entry for entry in json.loads(report.read_text())}
    fine = ("OK", "INFO", "DEBUG", "WARN")  # the last: a check that the scanner itself could not make
    bad = {name: entry["finding"] for name, entry in found.items() if entry["severity"] not in fine}
    assert bad.keys() <= ACCEPTED.keys(), bad
    assert found["overall_grade"]["finding"] == "A+"
