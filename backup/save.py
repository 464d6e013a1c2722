"""Base backups, and what came since: WAL, uploads, the queue. Each is whole, or it is not there."""

import os
import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

import repository
from common import (
    BASE,
    QUEUE,
    REPOSITORY,
    SECRETS,
    SEND,
    UPLOADS,
    WAL,
    BackupError,
    mind_the_disk,
    number,
    remember,
    remembered,
    run,
    tool,
)

SLOT = "backup"
RECEIVED_WITHIN = 20  # seconds
PASSWORDS = Path("/tmp/pgpass")


def to_the_database():
    """libpq's variables; the password is in a file."""
    if not PASSWORDS.exists():
        password = (SECRETS / "postgres_backup_password").read_text().strip().replace("\\", "\\\\").replace(":", "\\:")
        PASSWORDS.touch(mode=0o600)
        PASSWORDS.write_text(f"*:*:*:backup:{password}\n")
    names = {"PGHOST": "db", "PGUSER": "backup", "PGPASSFILE": str(PASSWORDS), "PGCONNECT_TIMEOUT": "10"}
    return {**os.environ, **names}


def ask(command):
    """The columns of the answer to a command of the replication protocol."""
    psql = ("psql", "--no-psqlrc", "--quiet", "-AtF", " ", "--dbname", "replication=true", "--command", command)
    return tool(*psql, env=to_the_database(), minding=False).split()


def position(lsn):
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


def identity():
    """Of the database in these volumes, and of its repository: another one has none of it yet.

    Two restores of one backup have the same timeline, and other volumes.
    """
    system, timeline, *_ = ask("IDENTIFY_SYSTEM")
    return f"{system}-{timeline}{os.environ.get('RESTORED', '')}-{crc32(REPOSITORY.encode()):08x}"


def settle_lineage():
    """WAL without a gap has one name, which begins anew with another database in the volume."""
    found = identity()
    if remembered("lineage").get("identity") != found:
        begin_lineage(found)


def begin_lineage(found):
    """What was received before does not go on here. A base backup is due next."""
    run("pg_receivewal", "--drop-slot", "--slot", SLOT, env=to_the_database(), minding=False)  # if it is there
    shutil.rmtree(WAL, ignore_errors=True)
    WAL.mkdir()
    remember("lineage", {"identity": found, "name": f"{found}-{time.time():.0f}", "time": time.time()})


def lineage():
    """Its name. Raises a BackupError when it does not become that of the database soon: its WAL comes first."""
    deadline = time.monotonic() + RECEIVED_WITHIN
    while (known := remembered("lineage")).get("identity") != (found := identity()):
        if time.monotonic() > deadline:
            raise BackupError(f"the WAL of {found} does not stream. The other lines of this log say why")
        time.sleep(0.5)
    return known["name"]


def await_received():
    """Until all that the database has acknowledged by now is in WAL. Returns its place there."""
    now = ask("IDENTIFY_SYSTEM")[2]
    deadline = time.monotonic() + RECEIVED_WITHIN
    while True:
        slot = ask(f"READ_REPLICATION_SLOT {SLOT}")
        if len(slot) > 1 and position(slot[1]) >= position(now):
            return now
        if time.monotonic() > deadline:
            raise BackupError(
                f"WAL until {now} did not come within {RECEIVED_WITHIN} s. Other lines of this log say why"
            )
        time.sleep(0.2)


def copy_queue(to):
    """Redis's append-only files as they belong together: it replaces them, and their list, while it works."""
    for _ in range(10):
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir(parents=True)
        if not (QUEUE / "appendonly.aof.manifest").exists():
            return  # Redis is elsewhere, or has nothing yet
        manifest = (QUEUE / "appendonly.aof.manifest").read_text()
        try:
            for name in re.findall(r"^file (\S+) .*type [bi]", manifest, re.MULTILINE):
                shutil.copyfile(QUEUE / name, to / name)
        except FileNotFoundError:
            continue
        if manifest == (QUEUE / "appendonly.aof.manifest").read_text():
            (to / "appendonly.aof.manifest").write_text(manifest)
            return
    raise BackupError("Redis rewrites its append-only file again and again, so that no copy of it is whole")


def link_wal(to):
    """The files that are in WAL now, also when pg_receivewal renames one meanwhile."""
    while True:
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir(parents=True)
        try:
            for file in WAL.iterdir():
                os.link(file, to / file.name)
            return
        except FileNotFoundError:
            continue


def base():
    """The whole database, verified, with uploads and queue; then what is older than BACKUP_KEEP_… goes."""
    repository.open_or_make()
    name = lineage()
    shutil.rmtree(BASE, ignore_errors=True)
    try:
        mind_the_disk(remembered("base").get("staged", 0))
        data = BASE / "data"
        tool("pg_basebackup", "--pgdata", str(data), "--checkpoint=fast", "--no-password", env=to_the_database())
        tool("pg_verifybackup", "--quiet", str(data))
        label = (data / "backup_label").read_text()
        lsn, segment = re.search(r"START WAL LOCATION: (\S+) \(file (\w+)\)", label).groups()
        staged = sum(file.lstat().st_size for file in BASE.rglob("*"))
        copy_queue(BASE / "redis")
        count = repository.save("base", name, lsn, [BASE, UPLOADS])
        taken = time.time()
    finally:
        shutil.rmtree(BASE, ignore_errors=True)
    repository.expire(number("BACKUP_KEEP_DAYS"), number("BACKUP_KEEP_WEEKS", 0), number("BACKUP_KEEP_MONTHS", 0))
    return {"time": taken, "lineage": name, "segment": segment, "bytes": count, "staged": staged}


def send():
    """What came since, for any point in time until now. Returns when that was."""
    repository.open_or_make()
    name, began = lineage(), time.time()
    last = remembered("base")
    lsn = await_received()
    link_wal(SEND / "wal")
    copy_queue(SEND / "redis")
    moment = datetime.fromtimestamp(int(began), UTC)
    # ctime changes with each link. The time is that of its promise, and in UTC as the container is.
    count = repository.save("wal", name, lsn, [SEND, UPLOADS], "--ignore-ctime", "--time", f"{moment:%F %T}")
    if last.get("lineage") == name and last["time"] < began:  # this snapshot was the last that needs older WAL
        for file in WAL.iterdir():
            if file.suffix != ".history" and file.name[8:24] < last["segment"][8:]:
                file.unlink(missing_ok=True)
    return {"time": int(began), "bytes": count}
