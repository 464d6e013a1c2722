"""`make check-server`: a line for each thing that a server should have, and the remedy where it lacks that.

The script is the real one; what it asks the machine is answered by stubs in front of PATH. tests/server has a real one.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.shell import run

DOCKER = """
case "$*" in
  "ps --filter publish="*) printf '%s' "$HOLDER" ;;
  "ps --format"*) printf 'shop-nginx-1 nginx 0.0.0.0:443->8443/tcp\\nshop-db-1 db 5432/tcp\\n%s\\n' "$OTHERS" ;;
  "version --format"*) echo "${ENGINE-28.0}" ;;
  "compose version --short") echo "${COMPOSE-2.30.1}" ;;
  *DockerRootDir*) echo / ;;
  *LiveRestoreEnabled*) echo "${LIVE_RESTORE-true}" ;;
  *LocalNodeState*) echo "${SWARM-inactive}" ;;
  *SecurityOptions*) echo "[name=seccomp ${PRIVILEGES-name=no-new-privileges}]" ;;
  *LoggingDriver*) echo json-file ;;
  "images --filter label=flagstone.offline"*) printf %s "$STAND_INS" ;;
esac
"""
CURL = r"""
case "$*" in
  *redirect_url*) printf %s "${REDIRECT-https://shop.test/}" ;;
  *) printf 'HTTP/2 200\r\n%s\r\n' "${HSTS-strict-transport-security: max-age=63072000}" ;;
esac
"""
OPENSSL = '[ "$1" != x509 ] || echo "notAfter=$(date -u -d "+${DAYS-60} days 1 hour" "+%b %d %T %Y GMT")"'
SSHD = "permitrootlogin no\npasswordauthentication no\nkbdinteractiveauthentication no\nlistenaddress [::]:2222\n"
UFW = (
    "Status: active\n2222/tcp ALLOW IN Anywhere\n80,443/tcp (Nginx Full) ALLOW IN Anywhere\n443/udp LIMIT IN Anywhere\n"
)
WELL = {
    "docker": DOCKER,
    "curl": CURL,
    "openssl": OPENSSL,
    "sudo": 'exec "$@"',
    "ip": "echo '2: eth0    inet 203.0.113.5/24 scope global eth0'",
    "getent": "echo '203.0.113.5     STREAM'",
    "ss": "",
    "df": "echo /dev/x 9 9 ${FREE-20971520} 9% /",
    "timedatectl": "echo NTPSynchronized=${SYNCHRONISED-yes}",
    "apt-config": "echo 'APT::Periodic::Unattended-Upgrade \"'${UPGRADES-1}'\";'",
    "sshd": f"echo '{SSHD}'",
    "ufw": f"echo '{UFW}'",
    "systemctl": "exit ${BOOT-0}",
}


@pytest.fixture
def server(tmp_path):
    """A server that has everything; returns a function that changes some of it, and then checks."""
    checkout, system = tmp_path / "shop", tmp_path / "system"
    for name in ("server", "scripts", "compose.prod.yaml", *map(str, Path().glob("*/Dockerfile"))):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if Path(name).is_dir() else shutil.copy)(name, checkout / name)
    files = {
        checkout / ".env": "DOMAIN=shop.test\nDOMAIN_ALIASES=www.shop.test\n",
        checkout / "secrets/secret_key": "x" * 40,
        system / "proc/meminfo": "MemTotal:  2000000 kB\nSwapTotal: 2000000 kB\n",
        system / "etc/docker/daemon.json": '{"log-opts": {"max-size": "10m"}}',
    }
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (checkout / ".env").chmod(0o600)
    (checkout / "secrets").chmod(0o700)
    (system / "run").mkdir()
    (tmp_path / "stubs").mkdir()

    def check(change=lambda checkout, system: None, stubs=None, **environment):
        for name, body in {**WELL, **(stubs or {})}.items():
            (tmp_path / "stubs" / name).write_text(f"#!/bin/sh\n{body}\n")
            (tmp_path / "stubs" / name).chmod(0o755)
        change(checkout, system)
        environment = {"HOLDER": f"{checkout} shop-nginx-1\n", "SYSTEM": str(system)} | environment
        path = f"{tmp_path / 'stubs'}:{os.environ['PATH']}"
        result = run(str(checkout / "server/check.sh"), check=False, **{"PATH": path, **environment})
        assert result.stderr == ""
        return result

    return check


def faults(result):
    return [line for line in result.stdout.splitlines() if not line.startswith("ok ")]


def test_a_server_that_has_everything_passes(server):
    result = server()
    assert faults(result) == []
    assert result.returncode == 0


def env(text):
    return lambda checkout, system: (checkout / ".env").write_text(text)


def write(name, text=""):
    return lambda checkout, system: (system / name).write_text(text)


def mode(name, mode):
    return lambda checkout, system: (checkout / name).chmod(mode)


FAULTS = {
    "domain": ({"change": env("DOMAIN=localhost\n")}, ["set DOMAIN in .env"]),
    "no address": (
        {"stubs": {"getent": '[ "$5" = shop.test ] || echo 203.0.113.5'}},
        ["dns", "shop.test leads to nothing"],
    ),
    "another address": (
        {"stubs": {"getent": 'echo 203.0.113.5; [ "$5" = shop.test ] || echo 2001:db8::7'}},
        ["www.shop.test leads to 2001:db8::7, and this is 203.0.113.5", "address=PUBLIC_ADDRESS"],
    ),
    "another container": ({"HOLDER": "/srv/other other-web-1"}, ["443/udp is taken", "stop", "other-web-1"]),
    "another program": ({"HOLDER": "", "stubs": {"ss": "echo apache2"}}, ["80/tcp is taken", "apache2"]),
    "open to everybody": (
        {"OTHERS": "shop-pg-1 pg 0.0.0.0:5432->5432/tcp"},
        ["published", "shop-pg-1", "ufw does not", "127.0.0.1"],
    ),
    "redirect": ({"REDIRECT": ""}, ["http://shop.test does not lead to https", "port 80"]),
    "hsts": ({"HSTS": ""}, ["hsts", "make cert-status"]),
    "certificate": ({"DAYS": "2"}, ["certificate", "2 days left", "make cert-status"]),
    "time": ({"SYNCHRONISED": "no"}, ["time", "timedatectl set-ntp true"]),
    "disk": ({"FREE": "3145728"}, ["disk", "3 GB free", "docker system prune"]),
    "memory": (
        {"change": write("proc/meminfo", "MemTotal: 1000000 kB\nSwapTotal: 2000000 kB\n")},
        ["memory", "2 GB or more"],
    ),
    "swap": ({"change": write("proc/meminfo", "MemTotal: 2000000 kB\nSwapTotal: 0 kB\n")}, ["swap", "server/setup.sh"]),
    "upgrades": ({"UPGRADES": "0"}, ["upgrades", "server/setup.sh"]),
    "reboot": ({"change": write("run/reboot-required")}, ["reboot", "sudo reboot"]),
    "root": (
        {"stubs": {"sshd": f"echo '{SSHD}' | sed 's/login no/login yes/'"}},
        ["root is let in", "server/setup.sh"],
    ),
    "passwords": ({"stubs": {"sshd": f"echo '{SSHD}' | sed s/^kbd.*//"}}, ["passwords are let in", "server/setup.sh"]),
    "firewall": ({"stubs": {"ufw": "echo Status: inactive"}}, ["ufw", "not active", "server/setup.sh"]),
    "ssh's port": (
        {"stubs": {"ufw": f"echo '{UFW}' | grep -v 2222"}},
        ["2222/tcp is not allowed", "sudo ufw allow 2222/tcp"],
    ),
    "HTTP/3": ({"stubs": {"ufw": f"echo '{UFW}' | grep -v udp"}}, ["443/udp is not allowed", "sudo ufw allow 443/udp"]),
    "https": ({"stubs": {"ufw": f"echo '{UFW}' | sed s/,443//"}}, ["443/tcp is not allowed", "sudo ufw allow 443/tcp"]),
    "engine": ({"ENGINE": "24.0.7"}, ["engine", "'24.0.7'", "25.0"]),
    "no engine": ({"ENGINE": ""}, ["engine", "''", "docs.docker.com"]),
    "compose": ({"COMPOSE": "v2.24.3"}, ["compose", "'v2.24.3'", "2.24.4"]),
    "boot": ({"BOOT": "1"}, ["boot", "systemctl enable docker"]),
    "live-restore": ({"LIVE_RESTORE": "false"}, ["live-restore", "server/setup.sh"]),
    "privileges": ({"PRIVILEGES": ""}, ["privileges", "server/setup.sh"]),
    "logs": ({"change": write("etc/docker/daemon.json", "{}")}, ["logs", "without end", "server/setup.sh"]),
    "stand-ins": ({"STAND_INS": "nginx:1.30\nunrelated:1\n"}, ["images", "nginx:1.30.", "offline/README.md"]),
    ".env": ({"change": mode(".env", 0o644)}, [".env", "chmod 600 .env"]),
    "secrets": ({"change": mode("secrets", 0o755)}, ["secrets", "make setup"]),
}


ALONE = [name for name, (missing, _) in FAULTS.items() if {"change", "stubs", "HOLDER"} & missing.keys()] + [
    "no engine"
]
TOGETHER = [name for name in FAULTS if name not in ALONE]


@pytest.mark.parametrize("names", [TOGETHER, *([name] for name in ALONE)], ids=lambda names: "+".join(names))
def test_what_is_missing_is_a_line_with_its_remedy(server, names):
    result = server(**{key: value for name in names for key, value in FAULTS[name][0].items()})
    assert result.returncode == 1
    left = faults(result)
    for name in names:
        found = [line for line in left if all(words in line for words in FAULTS[name][1])]
        assert found, (name, left)
        topic = found[0].split()[:2]
        left = [line for line in left if line.split()[:2] != topic]
    assert left == [], "and nothing else"


def test_before_the_stack_has_started_the_site_is_not_asked(server):
    result = server(HOLDER="", REDIRECT="", HSTS="")
    assert faults(result) == []
    assert "80/tcp is free" in result.stdout


@pytest.mark.parametrize("setting", ["TRUSTED_PROXIES=192.0.2.0/24", "TLS=off\nTRUSTED_PROXIES=192.0.2.0/24"])
def test_behind_a_proxy_names_lead_to_that(server, setting):
    result = server(env(f"DOMAIN=shop.test\n{setting}\n"), {"getent": "echo 198.51.100.1"})
    assert faults(result) == []


def test_a_node_of_a_swarm_has_no_live_restore(server):
    assert faults(server(LIVE_RESTORE="false", SWARM="active")) == []


def test_behind_nat_the_public_address_is_told(server):
    private = {"ip": "echo '2: eth0    inet 10.0.0.5/24 scope global eth0'"}
    assert "this is 10.0.0.5" in faults(server(stubs=private))[0]
    assert faults(server(stubs=private, address="203.0.113.5")) == []


def test_other_ports_are_looked_at_where_env_has_them(server):
    change = env("DOMAIN=shop.test\nHTTP_PORT=127.0.0.1:8080\nHTTPS_PORT=8443\nTLS=off\n")
    said = server(change).stdout
    assert "8080/tcp is" in said
    assert "8443/udp is" in said


def test_who_may_not_become_root_is_told(server):
    sudo = {"sudo": "exit 1", "id": "echo 1000"}
    with pytest.raises(AssertionError, match="sudo make check-server"):
        server(stubs=sudo)


def test_the_engine_that_setup_takes_is_the_one_that_is_checked():
    setup, check = (Path(file).read_text() for file in ("scripts/setup.sh", "server/check.sh"))
    for name in set(re.findall(r"[A-Z]+_AT_LEAST\w*", check)):
        assert re.search(rf"^{name}=", setup, re.MULTILINE), name
