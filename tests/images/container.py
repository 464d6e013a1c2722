"""Containers of the images under test: started, looked into and always removed."""

import json
import os
import secrets
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests import engine
from tests.engine import exec_in
from tests.shell import checked, docker, run
from tests.wait import until

# What compose.prod.yaml gives every service.
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")


@cache
def reference(name):
    """The reference of the image `name` (its last path component), from where the stack writes it."""
    images = run("scripts/base-images.sh", COMPOSE_PROFILES="monitoring").stdout.split()
    (found,) = [image for image in images if image.split(":")[0].split("/")[-1] == name]
    return found


def version(name):
    """The upstream version that the reference promises: 3.14 of python:3.14-slim-trixie."""
    return reference(name).split(":")[1].removeprefix("v").split("-")[0]


def settings(name):
    """The image's configuration, as `docker inspect` has it."""
    return json.loads(docker("image", "inspect", reference(name)))[0]["Config"]


def new_name():
    return f"{os.environ['TEST_ID']}-image-{secrets.token_hex(4)}"


class Container:
    def __init__(self, name):
        self.name = name

    def exec(self, *command, **more):
        if more:
            return docker("exec", "--interactive", self.name, *command, **more)
        return checked(exec_in(self.name, *command)).stdout.strip()

    def logs(self):
        return "".join(engine.logs(self.name))

    def uid(self):
        """Of its first process, whoever it was started as."""
        (line,) = [line for line in self.exec("cat", "/proc/1/status").splitlines() if line.startswith("Uid:")]
        return line.split()[1]

    def until_it_logs(self, text):
        until(lambda: text in self.logs(), what=f"{text!r} in the log")


@contextmanager
def started(name, *command, options=(), files=()):
    """A running container; `files` are (path on this side, path in the container), copied in before the start."""
    container = Container(new_name())
    docker("create", f"--name={container.name}", *options, reference(name), *command)
    try:
        for source, target in files:
            docker("cp", f"{source}", f"{container.name}:{target}")
        docker("start", container.name)
        yield container
    finally:
        docker("rm", "--force", "--volumes", container.name)


def once(name, *command, options=(), files=()):
    """Exit code and output of a container that ends by itself.

    It stays until that is read: of one that is over at once, the Engine closes the streams whether or not it has
    opened them, and loses what was said (handleContainerExit in daemon/monitor.go).
    """
    image = settings(name)
    words = (*(image["Entrypoint"] or ()), *(command or image["Cmd"]))
    stay = 'exec 2>&1; "$@"; echo "exited $?"; exec sleep 600'
    with started(name, "-c", stay, "sh", *words, options=(*options, "--entrypoint=sh"), files=files) as container:
        container.until_it_logs("exited ")
        output, _, code = container.logs().rpartition("exited ")
        return int(code), output


@contextmanager
def volume(name, folder):
    """A named volume that holds what is in `folder` (a container with a read-only root takes no `docker cp`)."""
    holder = new_name()
    docker("create", f"--name={holder}", f"--volume={holder}:/files", reference(name))
    try:
        docker("cp", f"{folder}/.", f"{holder}:/files")
        docker("rm", "--volumes", holder)
        yield holder
    finally:
        run("docker", "rm", "--force", "--volumes", holder, check=False)
        docker("volume", "rm", holder)


@cache
def idle(name):
    """A container where nothing runs yet; tests/run.sh removes it."""
    container = Container(new_name())
    docker("run", "--detach", f"--name={container.name}", "--entrypoint=sleep", reference(name), "86400")
    return container


def shell(name, script, **more):
    """What `script` printed, without the image's entrypoint. What it writes, the next script finds."""
    return idle(name).exec("sh", "-euc", script, **more)


def tools(name, *wanted):
    """Which of these commands the image has."""
    return shell(name, f"for tool in {' '.join(wanted)}; do ! command -v $tool >/dev/null || echo $tool; done").split()


def write(folder, contents):
    """Write {path: text} below `folder`; returns it. Scripts (.sh, .envsh) become executable."""
    for path, text in contents.items():
        file = Path(folder, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if file.suffix in {".sh", ".envsh"} else 0o644)
    return folder
