"""`make setup` on machines that are not ready: told apart, and each explained in a line or two.

The script is the real one; what it asks the machine is answered by stubs in front of PATH.
"""

import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.shell import run

READY = """
case "$*" in
  "compose version --short") echo ${COMPOSE:-2.30.1} ;;
  "version --format"*) echo 28.0 ;;
  "info --format"*) echo / ;;
  "manifest inspect"*) echo "$REGISTRY" >&2; [ -z "$REGISTRY" ] ;;
  "pull"*) exit ${PULL:-0} ;;
  "image inspect"*) exit ${IMAGES:-0} ;;
  *) exit 0 ;;
esac
"""
NOT_ANSWERING = """
[ "$1" = version ] && { echo "${SAYS:-Cannot connect to the Docker daemon}" >&2; exit 1; }
exit 0
"""


NO_REGISTRY = {"IMAGES": "1", "REGISTRY": "dial tcp: lookup registry.test: no such host"}


@pytest.fixture
def machine(tmp_path):
    """A checkout, and a folder of stub commands; returns a function that runs setup on them."""
    for name in ("scripts", "compose.prod.yaml", ".env.example", "app", "nginx", "certbot"):
        (shutil.copytree if Path(name).is_dir() else shutil.copy)(name, tmp_path / name)
    (tmp_path / "tests").mkdir()
    shutil.copy("tests/Dockerfile", tmp_path / "tests")
    stubs = tmp_path / "stubs"
    stubs.mkdir()

    def setup(*, environment=None, **commands):
        for name, body in commands.items():
            (stubs / name).write_text(f"#!/bin/sh\n{body}\n")
            (stubs / name).chmod(0o755)
        path = f"{stubs}:{os.environ['PATH']}"
        return run(str(tmp_path / "scripts/setup.sh"), check=False, stdin="", PATH=path, **(environment or {}))

    setup.checkout = tmp_path
    return setup


def test_a_ready_machine_gets_its_env_file_and_its_secrets(machine):
    result = machine(docker=READY)
    assert result.returncode == 0, result.stderr
    assert (machine.checkout / ".env").read_text() == Path(".env.example").read_text()
    secrets = machine.checkout / "secrets"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700, "no other user of the host comes this far"
    for name in ("secret_key", "postgres_password", "redis_password"):
        assert stat.S_IMODE((secrets / name).stat().st_mode) == 0o444, "but each container user can read its mount"
        value = (secrets / name).read_text()
        assert len(value) >= 32
        assert value not in result.stdout + result.stderr


def test_a_second_setup_keeps_everything(machine):
    machine(docker=READY)
    (machine.checkout / ".env").write_text("DOMAIN=mine.test\n")
    files = [machine.checkout / ".env", *(machine.checkout / "secrets").iterdir()]
    before = {file: file.read_bytes() for file in files}
    result = machine(docker=READY)
    assert result.returncode == 0
    assert {file: file.read_bytes() for file in files} == before
    assert "made" not in result.stdout


def test_a_checkout_under_a_strict_umask_is_opened_to_the_containers(machine):
    style = machine.checkout / "app/static/style.css"
    style.chmod(0o600)
    style.parent.chmod(0o700)
    machine(docker=READY)
    assert stat.S_IMODE(style.stat().st_mode) == 0o644
    assert stat.S_IMODE(style.parent.stat().st_mode) == 0o755


@pytest.mark.parametrize("version", ["1.29.2", "2.23.3", "v2.9.0", "2.24.3"])
def test_a_compose_that_is_too_old_is_named(machine, version):
    result = machine(docker=READY, environment={"COMPOSE": version})
    assert result.returncode == 1
    assert version.removeprefix("v") in result.stderr
    assert "2.24.4" in result.stderr


@pytest.mark.parametrize("version", ["2.24.4", "v2.30.0", "2.26.1-4", "5.0.1"])
def test_a_compose_that_is_new_enough_passes(machine, version):
    assert machine(docker=READY, environment={"COMPOSE": version}).returncode == 0


def test_a_full_disk_is_told(machine):
    result = machine(docker=READY, df="echo /dev/x 9 9 1048576 9% /")
    assert result.returncode == 1
    assert "1 GB of disk are free, and 3 GB are needed" in result.stderr


def test_no_permission_on_the_socket_is_told_with_its_remedy(machine):
    denied = "permission denied while trying to connect to the Docker daemon socket"
    result = machine(docker=NOT_ANSWERING, environment={"SAYS": denied})
    assert result.returncode == 1
    assert "usermod -aG docker" in result.stderr


def test_a_remote_engine_that_does_not_answer_is_named(machine):
    result = machine(docker=NOT_ANSWERING, environment={"DOCKER_HOST": "tcp://far.test:2376"})
    assert result.returncode == 1
    assert "tcp://far.test:2376" in result.stderr


def test_a_stopped_engine_without_root_names_the_command(machine):
    result = machine(docker=NOT_ANSWERING, dockerd="exit 1", id="echo 1000", sudo="exit 1")
    assert result.returncode == 1
    assert "systemctl start docker" in result.stderr


def test_no_registry_and_no_debian_is_told(machine):
    result = machine(docker=READY, id="echo 1000", sudo="exit 1", environment=NO_REGISTRY)
    assert result.returncode == 1
    assert "no registry answers" in result.stderr
    assert "python:3.14" in result.stderr


def test_docker_desktop_that_is_closed_is_to_be_opened(machine):
    result = machine(docker=NOT_ANSWERING, uname="echo Darwin")
    assert result.returncode == 1
    assert "open it" in result.stderr


def test_a_registry_that_refuses_is_not_a_missing_registry(machine):
    """Stand-ins are for machines with no way to one; here a person must see the refusal."""
    result = machine(docker=READY, environment={"IMAGES": "1", "REGISTRY": "toomanyrequests: slow down", "PULL": "1"})
    assert result.returncode == 1
    assert "could not be pulled" in result.stderr
    assert "stand-in" not in result.stdout


def test_missing_images_are_pulled(machine):
    result = machine(docker=READY, environment={"IMAGES": "1", "REGISTRY": ""})
    assert result.returncode == 0
    assert "pulled    postgres:18" in result.stdout


def test_the_file_of_former_keys_is_never_made_anew(machine):
    """Containers have this very file mounted, and would not see what `make jwt-rotate` writes into another."""
    machine(docker=READY)
    before = (machine.checkout / "secrets/jwt_public_keys").stat().st_ino
    holder = (machine.checkout / "secrets/jwt_public_keys").open()  # its number is not given away meanwhile
    machine(docker=READY)
    assert (machine.checkout / "secrets/jwt_public_keys").stat().st_ino == before
    holder.close()
