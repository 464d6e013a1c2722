"""What each piece of work shares: settings, the log, what is remembered, and commands that mind the disk."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

STAGE = Path("/backup")  # a volume: what is on its way, and what is remembered
WAL = STAGE / "wal"  # where pg_receivewal writes
BASE = STAGE / "base"  # a base backup until it is sent
SEND = STAGE / "send"  # WAL and queue as they were at one moment
DRILL = STAGE / "drill"
UPLOADS = Path("/srv/uploads")
QUEUE = Path("/srv/redis/appendonlydir")
SECRETS = Path("/run/secrets")
REPOSITORY = os.environ.get("RESTIC_REPOSITORY", "")
GIB = 2**30


class BackupError(Exception):
    """What a person can mend. Says what happened, where, and what to do."""


def number(name, at_least=1):
    """The setting, a whole number. Ends the program where it is none."""
    value = os.environ.get(name, "")
    if not value.isdecimal() or int(value) < at_least:
        sys.exit(f"{name} is a whole number, at least {at_least}, such as 300")
    return int(value)


def log(message, level="info", **fields):
    if os.environ.get("LOG_FORMAT") == "text":
        print(f"{level:<9} {message}", *(f"{name}={value}" for name, value in fields.items()), flush=True)
        return
    line = {"time": f"{datetime.now(UTC):%FT%T.%fZ}", "level": level, "logger": "backup", "message": message}
    print(json.dumps(line | fields), flush=True)


def size(number):
    """Of bytes, for a person."""
    return f"{number / GIB:.1f} GB" if number > GIB else f"{number / 2**20:.1f} MB"


def remembered(name):
    """What `remember` kept under this name, or an empty dictionary."""
    try:
        return json.loads((STAGE / "state" / f"{name}.json").read_text())
    except (OSError, ValueError):
        return {}


def remember(name, memory):
    file = STAGE / "state" / f"{name}.json"
    new = file.with_suffix(f".{os.getpid()}")
    file.parent.mkdir(exist_ok=True)
    new.write_text(json.dumps(memory))
    new.replace(file)


@contextmanager
def only(name):
    """One process at a time does what has this name; others wait."""
    (STAGE / "state").mkdir(exist_ok=True)
    with (STAGE / "state" / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def attempt(name, work):
    """Do it, and remember what came of it: when, how often in a row it failed, and why. Returns the problem, or None.

    `work` returns what else is to be remembered; its "time" is for when it is good, the default is now.
    """
    with only(name):
        memory, began, problem = remembered(name), time.time(), None
        try:
            memory |= {"time": time.time(), **work(), "failures": 0, "seconds": round(time.time() - began, 1)}
            log(f"{name} is done", seconds=memory["seconds"], bytes=memory.get("bytes", 0))
        except Exception as error:
            problem = str(error) if isinstance(error, (BackupError, OSError)) else traceback.format_exc()
            memory["failures"] = memory.get("failures", 0) + 1
            log(f"{name} failed: {problem}", "error", failures=memory["failures"])
        try:
            remember(name, memory | {"problem": problem, "tried": time.time()})
        except OSError as error:  # a full disk: the next one tells again
            log(f"{STAGE} cannot be written: {error.strerror}", "error")
        return problem


def mind_the_disk(needed=0):
    """Raise a BackupError where fewer bytes are free than BACKUP_DISK_RESERVE and `needed`."""
    reserve = number("BACKUP_DISK_RESERVE", 0)
    for place in (STAGE, Path(REPOSITORY)):
        if place.is_dir() and (free := shutil.disk_usage(place).free) < reserve + needed:
            raise BackupError(
                f"{size(free)} are free in {place}, and {size(reserve + needed)} are needed. Free space on that disk, "
                "move BACKUP_REPOSITORY to another machine, or lower BACKUP_DISK_RESERVE"
            )


def run(*command, words="", minding=True, within=float("inf"), **options):
    """The finished process, with what it said. Ends it by a BackupError when the disk gets full or it is slow."""
    deadline = time.monotonic() + within  # seconds
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(command, text=True, **pipes, **options)
    while True:
        try:
            out, err = process.communicate(words, timeout=1)
            return subprocess.CompletedProcess(command, process.returncode, out, err)
        except subprocess.TimeoutExpired:
            words = None  # it has them
            try:
                if minding:
                    mind_the_disk()
                if time.monotonic() > deadline:
                    raise BackupError(f"{command[0]} was not done within {within} s")
            except BackupError as problem:
                process.terminate()
                errors = [line for line in process.communicate()[1].splitlines() if "error" in line]
                raise BackupError(": ".join([str(problem), *errors[-1:]])) from None


def tool(*command, **options):
    """What a command printed, stripped. Raises a BackupError with its last words when it fails."""
    result = run(*command, **options)
    if result.returncode:
        said = " ".join((result.stdout + result.stderr).split("\n")[-4:]).strip()
        raise BackupError(f"{command[0]}: {said or f'exit {result.returncode}'}")
    return result.stdout.strip()
