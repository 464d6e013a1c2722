"""`make setup` with a real registry: images are pulled, and where it cannot be reached, none is built unasked.

The machine is a container with an engine of its own and no way out, and a registry in the place of Docker Hub.
"""

import socket
import subprocess

import pytest

from tests.images.container import Container, new_name
from tests.shell import docker, run
from tests.wait import until

DOCKERFILE = """
FROM {tests}
RUN apt-get update -q && apt-get install -qy --no-install-recommends docker.io docker-registry
"""
ENGINE = (
    "dockerd",
    "--registry-mirror=http://127.0.0.1:5000",
    "--bridge=none",
    "--iptables=false",
    "--ip6tables=false",
)
REGISTRY = 'version: 0.1\nstorage: {filesystem: {rootdirectory: /registry}}\nhttp: {addr: "127.0.0.1:5000"}'
FILL = """
for image in $(scripts/base-images.sh); do
  case $image in */*) name=127.0.0.1:5000/$image ;; *) name=127.0.0.1:5000/library/$image ;; esac
  echo "$image" >/tmp/content
  tar -c -C /tmp content | docker import - "$name"
  docker push --quiet "$name"
done
"""


def build_registry():
    """An image with a registry and an engine; returns its name."""
    image = new_name()
    tests = docker("inspect", "--format={{.Config.Image}}", socket.gethostname())
    docker("build", "--quiet", f"--tag={image}", "-", stdin=DOCKERFILE.format(tests=tests), timeout=600)
    return image


class Machine(Container):
    def sh(self, script):
        return self.exec("sh", "-euc", f"cd /checkout; {script}")

    def start_registry(self):
        serve = f"echo '{REGISTRY}' >/registry.yml; echo $$ >/registry.pid; exec docker-registry serve /registry.yml"
        docker("exec", "--detach", self.name, "sh", "-c", serve)
        until(lambda: self.sh("curl --fail --silent --show-error http://127.0.0.1:5000/v2/"))

    def stop_registry(self):
        self.sh("kill $(cat /registry.pid)")

    def images(self):
        return self.sh("docker images --format '{{.Repository}}:{{.Tag}}'").split()

    def setup(self):
        """The process of a person's `make setup`, at no terminal."""
        command = ("docker", "exec", "--workdir=/checkout", self.name, "make", "setup")
        return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def machine():
    """It has a checkout, and no image."""
    image = name = build_registry()
    options = ("--detach", "--privileged", "--network=none", "--user=0", "--volume=/var/lib/docker")
    docker("run", f"--name={name}", *options, image, *ENGINE)
    try:
        docker("cp", ".", f"{name}:/checkout")
        machine = Machine(name)
        until(lambda: run("docker", "exec", name, "docker", "version", check=False).returncode == 0)
        machine.start_registry()
        machine.sh(FILL)
        yield machine
    finally:
        docker("rm", "--force", "--volumes", name)
        docker("rmi", image)


@pytest.fixture(autouse=True)
def bare(machine):
    machine.sh("docker images --quiet | sort -u | xargs -r docker rmi --force")


def test_what_a_registry_has_is_pulled_and_nothing_is_built(machine):
    setup = machine.setup()
    said, errors = setup.communicate(timeout=300)
    assert setup.returncode == 0, said + errors
    wanted = run("scripts/base-images.sh").stdout.split()
    assert sorted(machine.images()) == sorted(wanted)
    assert all(f"pulled    {image}\n" in said for image in wanted)
    assert "stand-in" not in said


@pytest.mark.long
def test_a_server_whose_registry_is_away_is_told_so_and_gets_no_stand_in(machine):
    machine.stop_registry()
    try:
        setup = machine.setup()
        said, errors = setup.communicate(timeout=300)
    finally:
        machine.start_registry()
    assert setup.returncode != 0
    assert "no registry answers for" in errors
    assert "OFFLINE=1 make setup" in errors
    assert "building" not in said
    assert machine.images() == []


def test_a_registry_that_is_back_in_time_is_pulled_from(machine):
    machine.stop_registry()
    setup = machine.setup()
    for line in setup.stdout:
        if line.startswith("waiting"):
            break
    machine.start_registry()
    said, errors = setup.communicate(timeout=300)
    assert setup.returncode == 0, said + errors
    assert "pulled    postgres:18\n" in said
    assert "stand-in" not in said
