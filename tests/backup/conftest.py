"""A server that keeps backups, each made when a test asks for it."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import copy_with_probe
from tests.shell import checked, docker, run
from tests.stack.conftest import DOMAIN, Stack, production
from tests.wait import until

HOUR = "3600"
DATA = ("db", "uploads", "redis", "backup")  # volumes; the repository is not among them
FILES = """
mkdir -p "/srv/uploads/a b" /srv/uploads/empty
head -c 300000 /dev/urandom >"/srv/uploads/a b/$1"
printf %s "$1" >/srv/uploads/name
"""
SUMS = "cd /srv/uploads && find . -type d -o -type f -exec sha256sum {} + | sort"


@dataclass
class Kept:
    stack: Stack
    folder: Path

    def script(self, *arguments, check=True, **options):
        """scripts/backup.sh, as a person runs it by make."""
        environment = {**self.stack.environment, "COMPOSE_PROJECT_NAME": self.stack.project, "yes": "1", **options}
        return run(str(self.folder / "scripts/backup.sh"), *arguments, check=check, timeout=900, **environment)

    def backup(self):
        self.script("backup")

    def send(self, check=True):
        """What came since the last base backup, as the clock does it; what it said."""
        done = self.stack.try_exec("backup", "python3", "/opt/flagstone/daemon.py", "--send")
        return (checked(done) if check else done).stdout

    def restore(self, at="", **options):
        done = self.script("restore", at, **options)
        self.read_env()
        self.stack.await_health("ok")
        return done.stdout

    def read_env(self):
        """Compose takes the environment before .env, where `restore` writes."""
        self.stack.environment["RESTORED"] = re.findall(
            "^#?RESTORED=(.*)$", (self.folder / ".env").read_text(), re.MULTILINE
        )[-1]

    def remembered(self, name):
        return json.loads(self.in_backup("cat", f"/backup/state/{name}.json"))

    def in_backup(self, *command):
        return self.stack.exec("backup", *command)

    def add_row(self, name):
        """A committed one; returns a moment after it, and before whatever follows."""
        self.stack.sql(f"INSERT INTO probe_item (name, text) VALUES ('{name}', '')")  # noqa: S608 - it is ours
        return self.stack.sql("SELECT clock_timestamp() FROM pg_sleep(1.1)")

    def rows(self):
        return self.stack.sql("SELECT name FROM probe_item ORDER BY name").split()

    def add_uploads(self, name):
        self.stack.exec("app", "sh", "-c", FILES, "sh", name)

    def uploads(self):
        return hashlib.sha256(self.stack.exec("app", "sh", "-c", SUMS).encode()).hexdigest()

    def lose_everything(self):
        """The machine is gone; the repository is not."""
        self.stack.compose("down", "--timeout", "2", "--remove-orphans")
        for name in DATA:
            restored = "" if name == "backup" else self.stack.environment.get("RESTORED", "")
            docker("volume", "rm", f"{self.stack.project}_{name}{restored}")

    def metrics(self):
        text = self.in_backup("python3", "-c", "from urllib.request import *; "
                              "print(urlopen('http://127.0.0.1:9100/metrics').read().decode())")  # fmt: skip
        return dict(line.rsplit(" ", 1) for line in text.splitlines())

    def await_state(self, name, condition):
        def seen():
            memory = self.remembered(name)
            assert condition(memory), memory
            return memory

        return until(seen, what=name)


def keeper(name, *files, **environment):
    """A production stack with a checkout of its own, whose clock asks for nothing but the first base backup."""
    folder = copy_with_probe(name)
    env = folder / ".env"
    env.write_text(re.sub("^DOMAIN=.*$", f"DOMAIN={DOMAIN}", env.read_text(), flags=re.MULTILINE))
    settings = {"BACKUP_SEND_EVERY": HOUR, "BACKUP_DISK_RESERVE": "10000000", "GUNICORN_PROCESSES": "1", **environment}
    stack = production(name, *files, folder=folder, **settings)
    del stack.environment["DOMAIN"]
    return Kept(stack, folder)


@pytest.fixture(scope="session")
def kept():
    kept = keeper("kept")
    with kept.stack:
        kept.await_state("base", lambda memory: memory.get("time"))
        yield kept
