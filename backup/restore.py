"""Finds, restores and checks backups: make backups, make restore, and the drill."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import repository
from common import BASE, DRILL, REPOSITORY, SEND, UPLOADS, BackupError, mind_the_disk, size, tool
from save import position

FOLDER_OF_UPLOADS = Path("/var/lib/postgresql/uploads")  # between two containers
ROLES = "/docker-entrypoint-initdb.d/roles.sql"
LOG, HBA = Path("/tmp/postgres.log"), Path("/tmp/pg_hba.conf")
ENDED_BEFORE = "recovery ended before configured recovery target was reached"
ONE_RECORD = 2**20  # bytes: the last one may not have been complete when its place was noted
COUNTS = r"""SELECT format('SELECT %L, count(*) FROM %I.%I', schemaname || '.' || tablename, schemaname, tablename)
FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 \gexec"""


def choose(at):
    """The base backup and the WAL that lead to `at`, a datetime or None for the latest. Without WAL, to its end.

    Raises a BackupError where nothing does, which says what there is.
    """
    every = repository.snapshots()
    bases = [each for each in every if each.kind == "base" and (not at or each.time <= at)]
    if not bases:
        first = next((f"the first is {each.time:%F %T} UTC" for each in every if each.kind == "base"), "there is none")
        raise BackupError(f"no base backup in {REPOSITORY} is as old as that, {first}. All: make backups")
    base = bases[-1]
    wal = [each for each in every if (each.kind, each.lineage) == ("wal", base.lineage) and each.time >= base.time]
    if not at:
        return base, wal[-1] if wal else None
    if at - base.time < timedelta(seconds=1):
        return base, None
    later = [each for each in wal if each.time >= at]
    if not later:
        end = (wal or bases)[-1].time
        raise BackupError(f"{at:%F %T} UTC is not in {REPOSITORY}: what is there ends at {end:%F %T}: make backups")
    return base, later[0]


@contextmanager
def postgres(data, **settings):
    """The server on this directory, by a socket and for this container only. BackupError: it does not start."""
    HBA.write_text("local all all trust\n")
    own = {"listen_addresses": "", "unix_socket_directories": "/tmp", "hba_file": HBA, "hot_standby": "off"}
    own |= {"shared_buffers": "64MB", "max_connections": 20, "logging_collector": "off", "lc_messages": "C"}
    flags = [f"-c{name}={value}" for name, value in (own | settings).items()]
    with LOG.open("w") as log:
        server = subprocess.Popen(["postgres", "-D", data, *flags], stdout=log, stderr=log)
    try:
        while subprocess.run(["pg_isready", "--quiet", "--host=/tmp"], check=False).returncode:
            if server.poll() is not None:
                raise BackupError("PostgreSQL: " + " ".join(LOG.read_text().splitlines()[-6:]))
            mind_the_disk()
            time.sleep(0.2)
        yield
    finally:
        server.send_signal(signal.SIGINT)  # a clean checkpoint
        server.wait()


def psql(database, statement):
    command = ("psql", "--no-psqlrc", "--host=/tmp", "-Atq", "--set=ON_ERROR_STOP=1")
    return tool(*command, "--username", "postgres", "--dbname", database, words=statement)


def check(data, base, wal, settings):
    """Recover, and read every page and every index. Returns the last transaction's time and the rows of each table."""
    with postgres(data, **settings):
        replayed, last = psql("postgres", "SELECT pg_last_wal_replay_lsn(), pg_last_xact_replay_timestamp()").split("|")
        if wal and "recovery_target_time" not in settings and position(replayed) < position(wal.lsn) - ONE_RECORD:
            raise BackupError(f"the WAL ends at {replayed}, and should at {wal.lsn}: {REPOSITORY} lacks some of it")
        for database in psql("postgres", "SELECT datname FROM pg_database WHERE datallowconn").split():
            known = psql(database, "SELECT 1 FROM pg_extension WHERE extname = 'amcheck'")
            tool("pg_amcheck", "--host=/tmp", "--username", "postgres", "--install-missing", "--database", database)
            if not known:
                psql(database, "DROP EXTENSION amcheck")
        rows = dict(line.split("|") for line in psql("app", COUNTS).splitlines())
    if "version: 0" not in tool("pg_controldata", data).split("Data page checksum")[1]:
        tool("pg_checksums", "--check", "--pgdata", data)
    return last or "in the base", rows


def recover(data, base, wal, at):
    """A database in the empty folder `data`, as it was at `at`. Returns what `check` does."""
    repository.restic("restore", f"{base.id}:{BASE}/data", "--target", data)
    (data / "recovery.signal").touch()  # a timeline of its own begins, always
    archive = data.parent / "wal"
    settings = {"restore_command": "false", "recovery_target_action": "promote"}
    if wal:
        repository.restic("restore", f"{wal.id}:{SEND}/wal", "--target", archive)
        for file in archive.glob("*.partial"):
            file.rename(file.with_suffix(""))
        settings["restore_command"] = f'cp {archive}/%f "%p"'
    try:
        if wal and at:
            try:
                return check(data, base, wal, settings | {"recovery_target_time": at.isoformat()})
            except BackupError as problem:
                if ENDED_BEFORE not in str(problem):
                    raise  # otherwise nothing was committed between `at` and the end of this WAL
        return check(data, base, wal, settings)
    finally:
        shutil.rmtree(archive, ignore_errors=True)


def when(text):
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if not at or not at.tzinfo:
        raise BackupError(f'at="{text}" is no point in time with a zone, such as at="2026-11-24 12:34:56+00"')
    return at.astimezone(UTC)


def folder_of_uploads(base, wal):
    return f"{(wal or base).id}:{UPLOADS}"


def restore(at):
    """Into the volumes that are mounted here, which have to be new. Prints what is there now."""
    data = Path(os.environ["PGDATA"])
    if data.exists() and any(data.iterdir()):
        raise BackupError(f"{data} is not empty: restore goes into new volumes only, through `make restore`")
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    base, wal = choose(at)
    print(f"base      {base.time:%F %T} UTC, {size(base.bytes)}")
    last, rows = recover(data, base, wal, at)
    with postgres(data):
        psql("app", f"\\i {ROLES}")  # the passwords of this machine, which has others than the backup
    queue = f"{wal.id}:{SEND}/redis" if wal else f"{base.id}:{BASE}/redis"
    repository.restic("restore", queue, "--target", "/data/appendonlydir")
    print(f"database  as of {(wal and at) or (wal or base).time:%F %T} UTC; its last change was {last}")
    print(f"checked   pages, indexes; {len(rows)} tables, {sum(map(int, rows.values()))} rows")
    FOLDER_OF_UPLOADS.write_text(folder_of_uploads(base, wal))


def drill():
    """Restore the latest beside what runs, compare, and remove it."""
    shutil.rmtree(DRILL, ignore_errors=True)
    base, wal = choose(None)
    mind_the_disk(2 * base.bytes)
    try:
        (DRILL / "data").mkdir(parents=True, mode=0o700)
        last, rows = recover(DRILL / "data", base, wal, None)
        same, differ = compare_uploads(folder_of_uploads(base, wal))
    finally:
        shutil.rmtree(DRILL, ignore_errors=True)
    if differ:
        raise BackupError(f"in the backup of {(wal or base).time:%F %T} UTC these uploads differ: {differ[:5]}")
    repository.restic("check", "--retry-lock", "5m")
    return {"point": f"{(wal or base).time:%F %T}", "rows": rows, "uploads": same, "last": last}


def report(done):
    """The lines of `make restore-drill`."""
    yield f"restored  the backup of {done['point']} UTC, in {done['seconds']} s; its last change was {done['last']}"
    yield "checked   pages, indexes, the repository"
    yield f"same      {done['uploads']} uploads that are here"
    yield from (f"rows      {count:>9} {table}" for table, count in done["rows"].items())


def compare_uploads(folder):
    """How many are the same as those that are here, and the names of those that are not. Uploads never change."""
    import tarfile  # here: the daemon has no use for its memory

    command, variables = repository.dump(folder)
    same, differ = 0, []
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, env=variables) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as archive,
    ):
        for member in archive:
            here = UPLOADS / member.name.lstrip("/")
            if member.isfile() and here.exists():  # what was deleted since is not compared
                if archive.extractfile(member).read() == here.read_bytes():
                    same += 1
                else:
                    differ.append(member.name)
    if process.returncode:
        raise BackupError(f"restic dump, exit {process.returncode}")
    return same, differ


def points():
    """The lines of `make backups`."""
    every, now = repository.snapshots(), datetime.now(UTC)
    for base in every:
        if base.kind == "base":
            wal = [each.time for each in every if each.kind == "wal" and each.lineage == base.lineage]
            until = f"and any time until {wal[-1]:%F %T}" if wal and wal[-1] > base.time else ""
            age = (now - base.time).total_seconds() / 3600
            yield f"{base.time:%F %T} UTC  {size(base.bytes):>9}  {age:6.1f} h old  {until}"


if __name__ == "__main__":
    try:
        match sys.argv[1:]:
            case ["--list"]:
                print("\n".join(points()) or f"none yet in {REPOSITORY}: make backup")
            case ["--uploads"]:  # as a tar, for a container that runs as their owner
                command, variables = repository.dump(FOLDER_OF_UPLOADS.read_text())
                FOLDER_OF_UPLOADS.unlink()
                os.execvpe(command[0], command, variables)
            case [] | [""]:
                restore(None)
            case [text]:
                restore(when(text))
    except BackupError as problem:
        sys.exit(f"restore: {problem}")
