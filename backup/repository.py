"""The repository, by restic: encrypted, deduplicated, local or by S3, SFTP and what else restic speaks."""

import json
import os
import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from common import REPOSITORY, SECRETS, STAGE, BackupError, remember, remembered, run

HOST = "flagstone"  # of all snapshots, whichever container made them
ANSWERS_WITHIN = 30  # seconds
CREDENTIALS = SECRETS / "backup_credentials"
KEY = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----\n.*?\n-----END [A-Z ]*PRIVATE KEY-----\n)(.*)", re.DOTALL)
MEANING = {
    10: f"there is no repository at {REPOSITORY}. Check BACKUP_REPOSITORY; if it is a disk, is that mounted?",
    11: f"the repository at {REPOSITORY} is in use. If its user is dead, its lock ends within 30 minutes",
    12: f"secrets/backup_password is not the password of the repository at {REPOSITORY}. Put the right one there",
}


@dataclass(frozen=True)
class Snapshot:
    id: str
    time: datetime  # whatever was acknowledged until then is in it
    kind: str  # base or wal
    lineage: str  # WAL without a gap: of one database, since one moment
    lsn: str
    bytes: int


@cache
def access():
    """restic's options and environment: BACKUP_CREDENTIALS_FILE has lines NAME=value, or an SSH key and known_hosts."""
    packs = STAGE / "tmp"  # restic writes them before it sends them: too much for /tmp, which is memory
    packs.mkdir(exist_ok=True)
    text = CREDENTIALS.read_text() if CREDENTIALS.exists() else ""
    variables = {**os.environ, "TMPDIR": str(packs)}
    if ssh := KEY.search(text):
        key, hosts = Path("/tmp/ssh-key"), Path("/tmp/ssh-known-hosts")
        key.touch(mode=0o600)  # as ssh wants it
        key.write_text(ssh[1])
        hosts.write_text(ssh[2])
        flags = f"-i {key} -o UserKnownHostsFile={hosts} -o BatchMode=yes -o ConnectTimeout=20"
        return ("-o", f"sftp.args={flags}"), variables
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if not name.startswith("#") and equals:
            variables[name] = value
    return (), variables


def call(*arguments):
    """What to run, and its environment."""
    flags, variables = access()
    return ["restic", *flags, *arguments], variables


def dump(folder):
    """The call that writes this folder of a snapshot to its output, as a tar."""
    return call("dump", "--archive", "tar", folder, "/")


def restic(*arguments, **options):
    """What it printed. Raises a BackupError in words of this stack."""
    command, variables = call(*arguments)
    result = run(*command, env=variables, **options)
    if result.returncode:
        code, said = result.returncode, " ".join(result.stderr.split("\n")[-4:])
        said = re.sub(r'.*"message":"([^"]*)".*', r"\1", said)  # with --json
        raise BackupError(MEANING.get(code, f"restic {arguments[0]}, exit {code}: {said}"))
    return result.stdout


def open_or_make():
    """A repository that was there before is never made anew: it may be a disk that is not mounted.

    Raises a BackupError soon where it does not answer; restic by itself tries for 15 minutes, and says nothing.
    """
    command, variables = call("cat", "config")
    found = run(*command, env=variables, within=ANSWERS_WITHIN)
    if found.returncode == 10 and remembered("repository").get("address") != REPOSITORY:
        restic("init", within=ANSWERS_WITHIN)
    elif found.returncode:
        restic("cat", "config")  # once more, for its BackupError
    remember("repository", {"address": REPOSITORY})


def forget_own_locks():
    """Those of killed processes, of this container or the one before it. Others' end by themselves in 30 minutes."""
    own = {socket.gethostname(), remembered("host").get("name")}
    names = restic("list", "locks", "--no-lock").split() if remembered("repository") else []
    hosts = {json.loads(restic("cat", "lock", name, "--no-lock"))["hostname"] for name in names}
    if names:
        restic("unlock", *(["--remove-all"] if hosts <= own else []))
    remember("host", {"name": socket.gethostname()})


def save(kind, lineage, lsn, paths, *options):
    """A snapshot. Returns how many bytes it has."""
    tags = (word for tag in (kind, f"lineage={lineage}", f"lsn={lsn}") for word in ("--tag", tag))
    wait = ("--retry-lock", "15m")  # while old ones are removed
    said = restic("backup", "--json", *wait, "--host", HOST, *tags, *options, *map(str, paths))
    summary = [line for line in map(json.loads, said.splitlines()) if line["message_type"] == "summary"]
    return summary[0]["total_bytes_processed"]


def snapshots():
    """The oldest first."""
    restic("cat", "config", within=ANSWERS_WITHIN)
    found = []
    for each in json.loads(restic("snapshots", "--json", "--host", HOST, "--no-lock")) or []:
        tags = dict(tag.partition("=")[::2] for tag in each["tags"])
        found.append(
            Snapshot(
                each["id"],
                datetime.fromisoformat(each["time"]).astimezone(UTC).replace(microsecond=0),
                *("wal" if "wal" in tags else "base", tags["lineage"], tags["lsn"]),
                each.get("summary", {}).get("total_bytes_processed", 0),
            )
        )
    return sorted(found, key=lambda snapshot: snapshot.time)


def expire(days, weeks, months):
    """Any point in time of these days, then a base backup a week and a month."""
    every = ("forget", "--host", HOST, "--group-by", "", "--retry-lock", "5m")
    restic("unlock")
    restic(*every, "--tag", "wal", "--keep-within", f"{days}d", minding=False)
    restic(
        *(*every, "--tag", "base", "--keep-within", f"{days + 1}d", "--prune"),
        *("--keep-weekly", str(weeks), "--keep-monthly", str(months)),
        minding=False,
    )
