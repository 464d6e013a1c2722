"""What can go wrong with a certificate: the site serves what it has, and the log says what to do, seldom."""

import json
from contextlib import contextmanager

import pytest

from tests.shell import docker
from tests.stack.conftest import DOMAIN, TEST_ID
from tests.tls.pebble import BLOCKED, DIRECTORY, HOST
from tests.wait import until

LOOP = "python3 /opt/flagstone/renew.py"
ELSEWHERE, HIDDEN, CLOSED, NOWHERE, LATE = (
    f"{name}.test" for name in ("elsewhere", "hidden", "closed", "nowhere", "late")
)

# By name of the site: what its log says in the end. The first three are found before the authority is asked.
SAID = {
    NOWHERE: "nowhere.test has no address in DNS: add an A record",
    CLOSED: "where port 80 does not answer ([Errno 111] Connection refused): open it in the firewall",
    ELSEWHERE: "where another server answers (HTTP 404): correct its A or AAAA record",
    HIDDEN: "404",  # it is there, but not for the authority
    BLOCKED: "issuance is forbidden by policy",
    "down.test": "Connection refused",
}


class Loop:
    """A certbot container beside the stack's own, with another volume."""

    def __init__(self, stack, name, *options, command=(), **environment):
        self.name = f"{stack.project}-{name}"
        flags = [flag for key, value in environment.items() for flag in ("--env", f"{key}={value}")]
        start = ("run", "--detach", "--no-deps", "--name", self.name, *flags, *options, "certbot", *command)
        stack.compose(*start)

    def says(self, words):
        def said():
            assert words in self.log(), self.log()
            return True

        until(said, what=f"{self.name} says {words}")

    def log(self):
        return docker("logs", self.name)

    def exec(self, *command):
        return docker("exec", self.name, *command)


@contextmanager
def volume(name, *options, folder="/etc/letsencrypt"):
    docker("volume", "create", *options, name)
    try:
        yield ("--volume", f"{name}:{folder}")
    finally:
        docker("volume", "rm", name, check=False)


@pytest.fixture(scope="module")
def loops(tls, authority, first):
    """All of them at once; a first try takes a preflight's patience of 15 seconds."""
    authority.points_to(tls.address("nginx", "edge"), CLOSED)  # its port 80 is not open inside the network
    authority.fails_for(NOWHERE)
    authority.fails_for(LATE)
    tls.front.hosts |= {ELSEWHERE: "elsewhere", HIDDEN: "authority"}
    servers = {"down.test": f"https://{HOST}:1/dir"}
    alone = ("--volume", "/etc/letsencrypt")
    running = {
        name: Loop(tls, name, *alone, DOMAIN=name, DOMAIN_ALIASES="", ACME_SERVER=servers.get(name, DIRECTORY))
        for name in (*SAID, LATE)
    }
    try:
        running[LATE].says("next try in 1 min")
        authority.fails_for(LATE, fails=False)
        yield running
    finally:
        for loop in running.values():
            docker("rm", "--force", "--volumes", loop.name)


@pytest.mark.long
@pytest.mark.parametrize("name", SAID)
def test_a_failure_says_what_to_mend_and_when_it_tries_again(tls, authority, loops, name):
    loops[name].says("next try in 1 min")
    line = next(line for line in loops[name].log().splitlines() if "no certificate" in line)
    assert SAID[name] in line
    assert name in line


@pytest.mark.long
def test_what_the_preflight_finds_costs_no_order(authority, loops):
    for name in (NOWHERE, CLOSED, ELSEWHERE):
        loops[name].says("next try")
        assert "account" not in loops[name].exec("ls", "/etc/letsencrypt/https-acme-14000-dir")


@pytest.mark.long
def test_a_site_that_fails_is_alive_and_a_restart_does_not_make_it_faster(loops):
    loop = loops[NOWHERE]
    loop.says("next try")
    docker("restart", "--time", "5", loop.name)
    loop.says("1 failed so far, next try in ")
    assert loop.log().count("no certificate") == 1
    until(lambda: json.loads(docker("inspect", loop.name))[0]["State"]["Health"]["Status"] == "healthy")


@pytest.mark.long
def test_after_two_tries_the_authority_has_the_last_word(loops):
    """A machine behind NAT may not reach itself by its own public name."""
    loop = loops[CLOSED]
    loop.says("next try in 1 min")
    loop.exec(*LOOP.split(), "--now")
    loop.says("next try in 10 min")
    loop.exec(*LOOP.split(), "--now")
    loop.says("asking the authority all the same")
    loop.says("next try in 100 min")


def test_an_authority_that_is_away_harms_nothing(tls, first):
    before = tls.issued()
    tls.compose("up", "--detach", "certbot", ACME_SERVER=f"https://{HOST}:1/dir")
    until(lambda: "next try in 1 min" in tls.said("certbot"))
    look = ("openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", "/run/nginx/tls/fullchain.pem")
    end = tls.exec("nginx", *look).removeprefix("notAfter=")[: len("2027-02-23 13:30")]
    until(lambda: f"the one that is served is good until {end} UTC" in tls.said("certbot"))
    assert tls.issued() == before
    assert tls.site.get("/").status == 200
    status = ("exec", "-T", "certbot", "python3", "/opt/flagstone/status.py")
    until(lambda: "Connection refused" in tls.compose(*status, ACME_SERVER=f"https://{HOST}:1/dir"))
    tls.compose("up", "--detach", "certbot")
    until(tls.checks)
    assert tls.issued() == before


@pytest.mark.long
def test_a_certbot_killed_in_the_midst_of_an_order_starts_again(tls, authority, first):
    orders = authority.orders()
    settings = {"DOMAIN": "killed.test", "DOMAIN_ALIASES": ""}
    with volume(f"{TEST_ID}-killed") as kept:
        killed = Loop(tls, "killed", *kept, **settings)
        until(lambda: authority.orders() > orders)
        docker("kill", killed.name)
        assert "is good" not in killed.log()
        docker("start", killed.name)
        killed.says("is good")
        docker("rm", "--force", killed.name)


def test_links_left_half_way_are_never_served_and_certbot_mends_them(tls, first):
    """As a kill between two of certbot's links leaves them: the new certificate beside the key of the old one."""
    old, state = tls.issued(), "/etc/letsencrypt/https-acme-14000-dir"
    renew = ("renew", "--force-renewal", "--no-random-sleep-on-renew", "--config-dir", state)
    renew += ("--work-dir", "/tmp/work", "--logs-dir", "/tmp/log")
    until(lambda: tls.exec("certbot", "certbot", *renew))  # not while the loop has one at work
    new, live = tls.await_other_than(old), f"{state}/live/{DOMAIN}"
    tls.exec("certbot", "ln", "-sfn", f"../../archive/{DOMAIN}/privkey1.pem", f"{live}/privkey.pem")
    until(lambda: "key values mismatch" in tls.said("nginx"))
    assert tls.issued() == new
    tls.certbot("--now")
    until(lambda: "privkey1.pem" not in tls.exec("certbot", "readlink", f"{live}/privkey.pem"))
    assert tls.issued() == new
    tls.compose("restart", "nginx")
    until(lambda: tls.issued() == new)


@pytest.mark.long
@pytest.mark.parametrize("folder", ["/etc/letsencrypt", "/var/www/acme"])
def test_a_full_disk_is_told_and_done_with_as_soon_as_there_is_space(tls, first, folder):
    small = ("--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=1m,uid=101,mode=0755")
    with volume(f"{TEST_ID}-full", *small, folder=folder) as kept:
        fill = f"head -c 2m /dev/zero >{folder}/filler; exec {LOOP}"
        other = () if folder == "/etc/letsencrypt" else ("--volume", "/etc/letsencrypt")
        full = Loop(tls, "full", *kept, *other, command=("sh", "-c", fill), DOMAIN="full.test", DOMAIN_ALIASES="")
        full.says("No space left on device")
        full.says("next try in 1 min")
        full.exec("rm", f"{folder}/filler")
        full.exec(*LOOP.split(), "--now")
        # Of the second folder nginx has another one, so that the preflight goes on to say something else.
        full.says("another server answers" if other else "is good")
        docker("rm", "--force", "--volumes", full.name)


@pytest.mark.long
def test_once_the_cause_is_mended_nobody_has_to_do_anything(loops):
    """It waits its minute since the cause was mended, when these tests began."""
    loops[LATE].says("the certificate of late.test is good")
