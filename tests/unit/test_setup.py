"""`make setup` on machines that are not ready: told apart, and each explained in a line or two.

The script is the real one; what it asks the machine is answered by stubs in front of PATH.
"""

import json
import os
import pty
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.shell import run

READY = """
case "$*" in
  "compose version --short") echo ${COMPOSE:-2.30.1} ;;
  "version --format"*) echo ${ENGINE:-28.0} ;;
  *SecurityOptions*) echo "[name=seccomp $SECURITY]" ;;
  "info --format"*) echo / ;;
  "pull"*) [ -z "$REGISTRY" ] || { echo "Error response from daemon: $REGISTRY" >&2; echo "$*" >>pulls; exit 1; } ;;
  "image inspect --format"*nginx*) echo $RECIPE ;;
  "image inspect"*) exit ${IMAGES:-0} ;;
  "images --filter label=flagstone.offline"*) printf %s "$STAND_INS" ;;
  *"config --images") echo flagstone-app:latest ;;
  *) exit 0 ;;
esac
"""
NOT_ANSWERING = """
[ "$1" = version ] && { echo "${SAYS:-Cannot connect to the Docker daemon}" >&2; exit 1; }
exit 0
"""

NO_REGISTRY = {"IMAGES": "1", "REGISTRY": 'Get "https://hub.test/v2/": dial tcp: lookup hub.test: no such host'}


def stub(path, body):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path):
    """A checkout, and a folder of stub commands; returns a function that runs setup on them. Pauses take no time."""
    for name in (
        "scripts",
        "compose.prod.yaml",
        ".env.example",
        "app",
        "db",
        "flagstone",
        "monitoring",
        "nginx",
        "certbot",
    ):
        (shutil.copytree if Path(name).is_dir() else shutil.copy)(name, tmp_path / name)
    (tmp_path / "tests").mkdir()
    shutil.copy("tests/Dockerfile", tmp_path / "tests")

    def setup(*arguments, environment=None, **commands):
        for name, body in {"sleep": "exit 0", **commands}.items():
            stub(tmp_path / "stubs" / name, body)
        environment = {"PATH": f"{tmp_path / 'stubs'}:{os.environ['PATH']}", **(environment or {})}
        return run(str(tmp_path / "scripts/setup.sh"), *arguments, check=False, stdin="", **environment)

    stub(tmp_path / "offline/build.sh", 'echo "built $*"')
    (tmp_path / "app/.env.example").write_text("PROJECT_NAME=shop\n")
    setup.checkout = tmp_path
    return setup


def test_a_ready_machine_gets_its_env_file_and_its_secrets(machine):
    result = machine(docker=READY)
    assert result.returncode == 0, result.stderr
    assert (machine.checkout / ".env").read_text() == Path(".env.example").read_text() + "PROJECT_NAME=shop\n"
    secrets = machine.checkout / "secrets"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700, "no other user of the host comes this far"
    for name in ("secret_key", "postgres_password", "postgres_password_b", "redis_password"):
        assert stat.S_IMODE((secrets / name).stat().st_mode) == 0o444, "but each container user can read its mount"
        value = (secrets / name).read_text()
        assert len(value) >= 32
        assert value not in result.stdout + result.stderr


def test_what_the_application_sets_stands_once_in_the_env_file(machine):
    own = "DOMAIN=shop.test\nMAX_BODY_SIZE=1m\n"
    (machine.checkout / "app/.env.example").write_text(own)
    machine(docker=READY)
    shown = Path(".env.example").read_text().replace("\nDOMAIN=", "\n#DOMAIN=")
    assert (machine.checkout / ".env").read_text() == shown + own


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


@pytest.mark.parametrize(("version", "code"), [("20.10.24+dfsg1", 1), ("24.0.7", 1), ("25.0.0", 0)])
def test_an_engine_without_start_interval_is_named(machine, version, code):
    result = machine(docker=READY, environment={"ENGINE": version})
    assert result.returncode == code
    assert (f"Docker Engine is {version}, and 25.0 or later is needed" in result.stderr) == bool(code)


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
    result = machine("development", docker=READY, id="echo 1000", sudo="exit 1", environment=NO_REGISTRY)
    assert result.returncode == 1
    assert "no registry answers" in result.stderr
    assert "python:3.14" in result.stderr


def test_docker_desktop_that_is_closed_is_to_be_opened(machine):
    result = machine(docker=NOT_ANSWERING, uname="echo Darwin")
    assert result.returncode == 1
    assert "open it" in result.stderr


def pulls(machine):
    return (machine.checkout / "pulls").read_text().splitlines()


@pytest.mark.parametrize(
    "answer",
    [
        "toomanyrequests: You have reached your pull rate limit.",
        "unexpected status code https://registry.test/v2/x: 429 Too Many Requests",
        "pull access denied for python, repository does not exist or may require 'docker login'",
        'Head "https://registry.test/v2/x": unauthorized: incorrect username or password',
        "manifest for python:3.14 not found: manifest unknown: manifest unknown",
        "no matching manifest for linux/arm64/v8 in the manifest list entries",
        "failed to register layer: write /x: no space left on device",
    ],
)
def test_a_refusal_is_told_at_once_and_never_a_reason_for_stand_ins(machine, answer):
    result = machine("development", docker=READY, environment={"IMAGES": "1", "REGISTRY": answer})
    assert result.returncode == 1
    assert answer in result.stderr
    assert len(pulls(machine)) == 1
    assert "built" not in result.stdout


@pytest.mark.parametrize(
    "answer",
    [
        NO_REGISTRY["REGISTRY"],
        'Get "https://registry.test/v2/": dial tcp 192.0.2.1:443: connect: connection refused',
        'Get "https://registry.test/v2/": net/http: TLS handshake timeout',
        'Head "https://registry.test/v2/x": EOF',
        "received unexpected HTTP status: 503 Service Unavailable",
        "net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
        'Get "https://registry.test/v2/": Forbidden',  # by a proxy
    ],
)
def test_a_pull_that_the_network_fails_is_tried_again(machine, answer):
    result = machine(docker=READY, environment={"IMAGES": "1", "REGISTRY": answer})
    assert result.returncode == 1
    assert result.stdout.count(answer) == 1, "told once"
    assert len(pulls(machine)) == 5
    assert len(set(pulls(machine))) == 1, "what the first image cannot, the others need not try"


@pytest.mark.parametrize(
    ("arguments", "offline", "built"),
    [((), "", False), ((), "0", False), ((), "1", True), (("development",), "", True)],
    ids=["a server", "OFFLINE=0", "OFFLINE=1", "development"],
)
def test_stand_ins_are_for_development_or_asked_for(machine, arguments, offline, built):
    result = machine(*arguments, docker=READY, environment=NO_REGISTRY | {"OFFLINE": offline})
    assert ("built" in result.stdout) == built
    assert (result.returncode == 0) == built
    assert ("OFFLINE=1 make setup" in result.stderr) != built


def test_make_up_and_make_test_are_development_and_make_setup_is_not():
    assert "scripts/setup.sh development\n" in run("make", "--dry-run", "up").stdout
    assert "scripts/setup.sh development\n" in Path("tests/run.sh").read_text()
    assert run("make", "--dry-run", "setup").stdout == "scripts/setup.sh\n"


def test_offline_asks_no_registry_and_leaves_alone_what_is_here(machine):
    here = READY.replace('"image inspect"*)', '"image inspect postgres:18") exit 0 ;; "image inspect"*)')
    result = machine(docker=here, environment={"IMAGES": "1", "OFFLINE": "1"})
    (built,) = [line for line in result.stdout.splitlines() if line.startswith("built")]
    assert "redis:8" in built
    assert "postgres" not in built
    assert "pulled" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "recipe", "built"),
    [
        (("development",), "forky former", True),
        (("development",), "forky", True),
        (("development",), "forky current", False),
        (("development",), "", False),
        ((), "forky former", False),
    ],
    ids=["former", "before there were recipes", "current", "official", "on a server"],
)
def test_development_replaces_a_stand_in_of_another_version(machine, arguments, recipe, built):
    stub(machine.checkout / "offline/build.sh", '[ "$1" = --recipe ] && echo current || echo "built $*"')
    result = machine(*arguments, docker=READY, environment={"RECIPE": recipe})
    assert result.returncode == 0, result.stderr
    assert ("built nginx:1.30\n" in result.stdout) == built
    assert ("all here" in result.stdout) != built


@pytest.mark.parametrize(("reply", "built"), [("y", True), ("", False), ("n", False)])
def test_a_person_at_a_terminal_may_say_yes_to_stand_ins(machine, reply, built):
    machine(docker=READY)
    ours, theirs = pty.openpty()
    os.write(ours, f"{reply}\n".encode())
    path = f"{machine.checkout / 'stubs'}:{os.environ['PATH']}"
    setup = [str(machine.checkout / "scripts/setup.sh")]
    result = subprocess.run(
        setup,
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **NO_REGISTRY, "PATH": path},
    )
    assert ("built" in result.stdout) == built
    assert (result.returncode == 0) == built


def test_stand_ins_in_use_are_named_at_each_setup(machine):
    used = {"STAND_INS": "postgres:18\nflagstone-app:latest\nunrelated:1\n"}
    said = machine(docker=READY, environment=used).stdout
    assert "warning   stand-ins, not for the internet: postgres:18 flagstone-app:latest. " in said
    said = machine("development", docker=READY, environment=used).stdout
    assert "warning   stand-ins, not for the internet: postgres:18. " in said, "its own images are built anew"
    assert "stand-in" not in machine(docker=READY).stdout


def test_wsl_without_docker_is_told_of_docker_desktop_and_gets_no_engine_of_its_own(machine):
    """While Docker Desktop is stopped, or not integrated, Windows' own `docker` is found, which can only say so."""
    shim = "echo 'The command could not be found in this WSL 2 distro.' >&2; exit 1"
    kernel = '[ "$1" = -r ] && echo 6.6.87.2-microsoft-standard-WSL2 || echo Linux'
    result = machine(docker=shim, uname=kernel, **{"apt-get": "touch installed"})
    assert result.returncode == 1
    assert "Start Docker Desktop" in result.stderr
    assert "WSL integration" in result.stderr
    assert not (machine.checkout / "installed").exists()


@pytest.mark.parametrize(("lacks", "written"), [("version", True), ("compose", False)])
def test_an_engine_that_setup_installs_has_no_userland_proxy_and_one_that_was_there_is_left_alone(
    machine, lacks, written
):
    docker = f'[ "$1" != {lacks} ] || [ -e installed ] || exit 1\n{READY}'
    apt = {"apt-get": "touch installed", "dpkg": "exit 1", "id": "echo 0"}
    result = machine(docker=docker, install='[ "$5" = /etc/docker/daemon.json ] && cat >daemon.json', **apt)
    assert "installed" in result.stdout, result.stderr
    settings = machine.checkout / "daemon.json"
    assert settings.exists() == written
    assert not written or json.loads(settings.read_text()) == {"userland-proxy": False}


def test_selinux_lets_containers_read_what_is_mounted_from_the_checkout(machine):
    machine(docker=READY, chcon='echo "$*" >relabelled', environment={"SECURITY": "name=selinux"})
    assert (
        machine.checkout / "relabelled"
    ).read_text() == "-R -t container_file_t app db flagstone monitoring secrets\n"


def test_without_selinux_no_label_is_touched(machine):
    assert machine(docker=READY, chcon="exit 1").returncode == 0


def test_missing_images_are_pulled(machine):
    result = machine(docker=READY, environment={"IMAGES": "1"})
    assert result.returncode == 0
    assert "pulled    postgres:18" in result.stdout


def test_an_application_has_secrets_of_its_own_and_the_file_of_former_keys_is_never_made_anew(machine):
    """Containers have this very file mounted, and would not see what is written into another."""
    with (machine.checkout / "app/services.yaml").open("a") as services:
        services.writelines(f"# source: ../secrets/{name}\n" for name in ("own_private_key", "own_public_keys"))
    machine(docker=READY)
    secrets = machine.checkout / "secrets"
    assert "PRIVATE KEY" in (secrets / "own_private_key").read_text()
    before = (secrets / "own_public_keys").stat().st_ino
    with (secrets / "own_public_keys").open():  # its number is not given away meanwhile
        machine(docker=READY)
        assert (secrets / "own_public_keys").stat().st_ino == before
