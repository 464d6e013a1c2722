"""A server with a checkout of its own, on which releases are made as a person makes them."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import copy_with_probe
from tests.shell import run
from tests.stack.conftest import DOMAIN, Stack, production
from tests.wait import until

AUTHOR = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in
          (("NAME", "tests"), ("EMAIL", "tests@example.test"))}  # fmt: skip


@dataclass
class Server:
    stack: Stack
    folder: Path

    @property
    def environment(self):
        return {**AUTHOR, **self.stack.environment, "COMPOSE_PROJECT_NAME": self.stack.project}

    def git(self, *arguments):
        return run("git", "-C", str(self.folder), *arguments, **AUTHOR).stdout.strip()

    def edit(self, name, change):
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        text = change(file.read_text() if file.exists() else "")
        file.write_text(text)

    def commit(self, what):
        """Whatever has changed; returns what its release is called."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", what)
        return self.git("rev-parse", "--short=12", "HEAD")

    def script(self, *arguments, check=True, **options):
        command = (str(self.folder / "scripts/deploy.sh"), *arguments)
        return run(*command, check=check, timeout=900, **{**self.environment, **options})

    def deploy(self, **options):
        return self.script("deploy", **options)

    def kill_after(self, word, *command, locks):
        """A script of the checkout, killed as soon as it has said a line that begins with this word.

        `locks` are files in releases/, with the seconds within which each is free: what it had started goes on, and
        holds them until it ends.
        """
        call = [self.folder / "scripts" / command[0], *command[1:]]
        script = subprocess.Popen(call, stdout=subprocess.PIPE, text=True, env={**os.environ, **self.environment})
        for line in script.stdout:
            if line.startswith(word):
                script.kill()
                break
        assert script.wait(timeout=60) == -9
        for lock, within in locks.items():
            free = ("flock", "--nonblock", str(self.folder / "releases" / lock), "true")
            until(lambda free=free: run(*free, check=False).returncode == 0, within=within, what=f"{lock} is free")

    def deploy_until(self, step):
        """A deploy whose script is killed as soon as it has said that this step is done."""
        self.kill_after(step, "deploy.sh", "deploy", locks={"lock": 90})

    def serving(self):
        return self.stack.site.get("/health").json["release"]

    def containers(self):
        """Of `app`."""
        return self.stack.compose("ps", "--all", "--quiet", "app").split()

    def steps(self, said):
        """Of a deploy, by what it printed: the seconds of each."""
        return {name: float(seconds) for name, seconds in re.findall(r"^(\w+) +([\d.]+) s$", said, re.MULTILINE)}


@pytest.fixture(scope="session")
def server():
    folder = copy_with_probe("release")
    env = folder / ".env"
    env.write_text(re.sub("^DOMAIN=.*$", f"DOMAIN={DOMAIN}", env.read_text(), flags=re.MULTILINE))
    stack = production("release", folder=folder, GUNICORN_PROCESSES="2")
    del stack.environment["DOMAIN"]  # as on a server: .env has it
    server = Server(stack, folder)
    server.git("init", "--quiet")
    server.commit("The first release")
    with stack:
        yield server
