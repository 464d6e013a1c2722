"""`server/setup.sh` for real, on a machine that has little more than its package manager: what it does, twice, and what
it refuses. The machine is a container without systemd, so what needs that is only looked at by its own tools.
"""

import json

import pytest

from tests.images.container import Container, new_name, reference
from tests.shell import docker, run
from tests.wait import until

DOCKERFILE = """
FROM {image}
RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
    cloud-init docker-buildx docker.io {compose} git iptables make openssh-client systemd
"""
ENGINE = "dockerd --bridge=none --iptables=false --ip6tables=false"
MACHINES = [
    pytest.param((lambda: reference("python"), "docker-cli docker-compose"), id="debian"),
    pytest.param((lambda: "ubuntu:24.04", "docker-compose-v2"), id="ubuntu", marks=pytest.mark.long),
]
PORT = "/etc/ssh/sshd_config.d/port.conf"
DROP_IN = "/etc/ssh/sshd_config.d/00-flagstone.conf"
FILES = """
find /etc /home /srv /root -xdev -type f -not -path '*/.cache/*' | sort >/tmp/files
xargs -d '\\n' stat -c '%n %a %U:%G' </tmp/files
xargs -d '\\n' sha256sum </tmp/files
"""
pytestmark = pytest.mark.xdist_group("machine")


class Machine(Container):
    def run(self, script, **environment):
        options = [f"--env={name}={value}" for name, value in environment.items()]
        return run(
            "docker", "exec", *options, self.name, "sh", "-euc", f"cd /srv/shop; {script}", check=False, timeout=600
        )

    def sh(self, script):
        result = self.run(script)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def setup(self, **environment):
        return self.run("server/setup.sh", **environment)

    def write(self, file, text):
        self.sh(f"mkdir -p {file.rpartition('/')[0]} && printf '%s\\n' '{text}' >{file}")

    def sshd(self):
        """What it would do, in small letters: newer ones write its settings with capitals."""
        return self.sh("mkdir -p /run/sshd; /usr/sbin/sshd -T").lower().splitlines()

    def start_engine(self):
        docker("exec", "--detach", self.name, "sh", "-c", f"echo $$ >/engine.pid; exec {ENGINE}")
        until(lambda: self.run("docker version").returncode == 0)

    def stop_engine(self):
        self.sh("kill $(cat /engine.pid); timeout 30 tail --pid=$(cat /engine.pid) -f /dev/null")


@pytest.fixture(scope="module", params=MACHINES)
def machine(request):
    """It has a checkout of root's, and an engine with the base images. Nobody has a key."""
    image, compose = request.param
    tag = name = new_name()
    docker(
        "build", "--quiet", f"--tag={tag}", "-", stdin=DOCKERFILE.format(image=image(), compose=compose), timeout=600
    )
    docker("run", f"--name={name}", "--detach", "--privileged", "--volume=/var/lib/docker", tag, "sleep", "infinity")
    try:
        docker("cp", ".", f"{name}:/srv/shop")
        machine = Machine(name)
        machine.sh("rm -rf .env secrets")
        machine.start_engine()
        machine.sh("for image in $(scripts/base-images.sh); do tar -c VERSION | docker import - $image; done")
        machine.write("/etc/docker/daemon.json", '{"log-level": "warn"}')
        yield machine
    finally:
        docker("rm", "--force", "--volumes", name)
        docker("rmi", tag)


@pytest.fixture(scope="module")
def key(machine):
    machine.sh("ssh-keygen -q -t ed25519 -N '' -C you@laptop -f /tmp/key")
    return machine.sh("cat /tmp/key.pub").strip()


@pytest.fixture(scope="module")
def ready(machine, key):
    """After a first run, with sshd at another port than usual; what that said."""
    machine.write(PORT, "Port 2222")
    result = machine.setup(SSH_KEY=key)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_without_a_key_sshd_and_the_firewall_stay_as_they_are(machine):
    machine.write("/root/.ssh/authorized_keys", 'command="echo Log in as somebody else" ssh-ed25519 AAAA')
    result = machine.setup()
    assert result.returncode == 1
    assert "deploy has no ssh key" in result.stderr
    assert "sudo SSH_KEY=" in result.stderr
    assert "passwordauthentication yes" in machine.sshd()
    assert "ENABLED=no" in machine.sh("cat /etc/ufw/ufw.conf")


def test_what_needs_systemd_is_said_to_be_skipped(ready):
    skipped = [line.split(maxsplit=1)[1] for line in ready.splitlines() if line.startswith("skipped")]
    wanted = ["reload of sshd", "ufw enable", "time synchronisation", "swap", "restart of Docker"]
    assert skipped == [f"{what}: systemd does not run here" for what in wanted]


def test_sshd_takes_keys_only_and_never_root(ready, machine):
    machine.sh("/usr/sbin/sshd")
    ssh = "ssh -i /tmp/key -p 2222 -o BatchMode=yes -o StrictHostKeyChecking=no"
    assert machine.sh(f"{ssh} deploy@127.0.0.1 sudo id -u").strip() == "0", "and that user may become root"
    machine.sh("cat /tmp/key.pub >/root/.ssh/authorized_keys")
    refused = machine.run(f"{ssh} root@127.0.0.1 true")
    assert "Permission denied (publickey)" in refused.stderr, "it offers nothing else"


def test_the_firewall_lets_in_what_sshd_and_nginx_listen_at(ready, machine):
    added = machine.sh("ufw show added").splitlines()[1:]
    assert sorted(added) == [f"ufw allow {port}" for port in ("2222/tcp", "443/tcp", "443/udp", "80/tcp")]
    machine.sh("ufw --dry-run enable")
    machine.sh("ufw --force enable")
    assert "Status: active" in machine.sh("ufw status")


def test_the_checkout_is_set_up_and_belongs_to_deploy(ready, machine):
    assert machine.sh("find . ! -user deploy").strip() == ""
    assert machine.sh("stat -c %a secrets .env").split() == ["700", "600"]
    assert machine.sh("sudo -u deploy docker version --format {{.Server.Version}}")


def test_the_engine_takes_its_settings_and_keeps_what_was_there(ready, machine):
    settings = json.loads(machine.sh("cat /etc/docker/daemon.json"))
    assert settings.items() > {"log-level": "warn", "live-restore": True, "no-new-privileges": True}.items()
    machine.stop_engine()
    machine.start_engine()
    info = json.loads(machine.sh("docker info --format '{{json .}}'"))
    assert info["LiveRestoreEnabled"]
    assert "name=no-new-privileges" in info["SecurityOptions"]
    logs = machine.sh("docker inspect --format '{{json .HostConfig.LogConfig}}' $(docker create postgres:18 x)")
    assert json.loads(logs)["Config"] == {"max-size": "10m", "max-file": "5"}


def test_a_second_run_changes_nothing(ready, machine, key):
    before = machine.sh(FILES)
    result = machine.setup(SSH_KEY=key)
    assert result.returncode == 0, result.stdout + result.stderr
    assert machine.sh(FILES).splitlines() == before.splitlines()


def test_check_server_finds_on_it_what_a_container_cannot_have(ready, machine):
    result = machine.run("make check-server")
    wrong = {line.split()[1] for line in result.stdout.splitlines() if line.startswith("WRONG")}
    assert {"domain"} <= wrong <= {"domain", "time", "boot", "disk", "memory", "swap", "images"}, result.stdout


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("/etc/ssh/sshd_config.d/01-own.conf", "AllowUsers root", "add deploy"),
        ("/etc/ssh/sshd_config.d/01-own.conf", "AllowGroups root adm", "add deploy"),
        ("/etc/ssh/sshd_config.d/01-own.conf", "AuthorizedKeysFile /etc/ssh/keys/%u", "AuthorizedKeysFile"),
        ("/etc/ssh/sshd_config.d/00-a.conf", "PasswordAuthentication yes", "would have no effect"),
        ("/etc/ssh/sshd_config.d/01-own.conf", "PermitRotLogin no", "does not accept"),
    ],
    ids=["users", "groups", "where keys are", "an earlier file", "a mistake"],
)
def test_it_locks_nobody_out(ready, machine, file, line, said):
    machine.sh(f"rm -f {DROP_IN}")
    machine.write(file, line)
    result = machine.setup()
    machine.sh(f"rm {file}")
    assert result.returncode == 1
    assert said in result.stderr, result.stderr
    assert machine.run(f"test -e {DROP_IN}").returncode == 1, "so nothing has changed"


def test_cloud_init_knows_every_key_of_its_file_and_runs_setup(machine):
    assert "Valid schema" in machine.sh("cloud-init schema --config-file server/cloud-init.yaml")
    assert "/srv/shop/server/setup.sh" in machine.sh("cat server/cloud-init.yaml")


def test_systemd_finds_nothing_to_say_of_the_unit(machine):
    machine.sh("cp server/flagstone@.service /etc/systemd/system")
    result = machine.run("systemd-analyze verify flagstone@shop.service")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


CALLS = """
systemctl try-reload-or-restart ssh
timedatectl set-ntp true
swapon --noheadings --show
fallocate -l 2G /swapfile
mkswap /swapfile
swapon /swapfile
systemctl reload docker
systemctl restart docker
"""


def test_where_systemd_runs_each_service_gets_its_settings_and_the_port_of_a_running_sshd_stays_open(ready, machine):
    """The last one: systemd's commands are stubs, and so are those that would give the real machine swap."""
    machine.sh("mkdir -p /run/systemd/system; rm /etc/docker/daemon.json; ufw disable; /usr/sbin/sshd -p 2022")
    for name in ("systemctl", "timedatectl", "fallocate", "mkswap", "swapon"):
        machine.write(f"/usr/local/bin/{name}", '#!/bin/sh\necho "${0##*/} $*" >>/tmp/calls; touch /swapfile')
    machine.sh("chmod +x /usr/local/bin/*")
    result = machine.setup()
    assert result.returncode == 0, result.stdout + result.stderr
    assert "skipped" not in result.stdout
    assert machine.sh("cat /tmp/calls") == CALLS.lstrip()
    assert "/swapfile none swap" in machine.sh("cat /etc/fstab")
    firewall = machine.sh("ufw status")
    assert "Status: active" in firewall
    assert "2022/tcp" in firewall
