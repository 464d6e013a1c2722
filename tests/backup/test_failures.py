"""What goes wrong says what to do, harms no backup that is good, and is over by itself when its cause is."""

import asyncio
import json
import re
import shutil
import socket
import time
from contextlib import contextmanager
from dataclasses import replace
from secrets import token_hex
from threading import Thread

import asyncssh
import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.backup.conftest import HOUR, keeper
from tests.shell import docker
from tests.stack.conftest import kill
from tests.wait import until

pytestmark = pytest.mark.long

PORT, SSH_PORT = 9500, 9522
STORAGE = "storage"  # this container; moto would take a part of a longer name for the bucket
BUCKET = f"s3:http://{STORAGE}:{PORT}/kept/here"
PARTS = ("db", "redis", "backup")
KEYS = "AWS_ACCESS_KEY_ID=who\nAWS_SECRET_ACCESS_KEY=what\n"


@pytest.fixture(scope="module")
def s3():
    server = ThreadedMotoServer(ip_address="0.0.0.0", port=PORT, verbose=False)  # noqa: S104 - containers come to it
    server.start()
    storage().create_bucket(Bucket="kept")
    yield server
    server.stop()


def storage():
    keys = {"aws_access_key_id": "who", "aws_secret_access_key": "what", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{PORT}", **keys)


def meet(kept):
    """This container is the one where the repository is."""
    docker("network", "connect", "--alias", STORAGE, f"{kept.stack.project}_web", socket.gethostname())


@pytest.fixture(scope="module")
def faulty(s3):
    """What backups need of a stack, with a clock of seconds and a repository on S3."""
    kept = keeper(
        "faulty",
        BACKUP_REPOSITORY=BUCKET,
        BACKUP_CREDENTIALS_FILE="./s3-keys",
        BACKUP_SEND_EVERY="10",
        BACKUP_DRILL_EVERY=HOUR,
        POSTGRES_SLOT_WAL="64MB",
    )
    (kept.folder / "s3-keys").write_text(KEYS)
    try:
        kept.stack.compose("up", "--no-start", "--build", *PARTS)
        meet(kept)
        kept.stack.compose("up", "--detach", "--wait", *PARTS)
        kept.stack.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
        kept.await_state("base", lambda memory: memory.get("time"))
        yield kept
    finally:
        kept.stack.down("--volumes")


def again(kept, **settings):
    kept.stack.compose("up", "--detach", "backup", **settings)


def health(kept):
    """What the health check says, or nothing when all is well."""
    command = ("sh", "-c", "python3 /opt/flagstone/daemon.py --healthy 2>&1; true")
    return kept.in_backup(*command)


def await_health(kept, words):
    def seen():
        said = health(kept)
        assert re.search(words, said) if words else not said, said
        return True

    until(seen, what=f"health: {words}")


def good_backups(kept):
    return kept.script("backups").stdout.count("UTC")


@contextmanager
def recovers(kept):
    """A fault meanwhile. Afterwards the next backups come by themselves, and none of those before is harmed."""
    before, began = good_backups(kept), time.time()
    yield
    kept.await_state("send", lambda memory: memory["time"] > began and not memory["problem"])
    await_health(kept, "")
    assert good_backups(kept) >= before
    assert "no errors were found" in restic(kept, "check")


def restic(kept, *arguments):
    return kept.in_backup("sh", "-c", f"export {KEYS.replace('\n', ' ')}; restic --retry-lock 1m {' '.join(arguments)}")


def test_the_repository_is_away(faulty, s3):
    with recovers(faulty):
        began = time.time()
        faulty.await_state("send", lambda memory: memory["time"] > began)
        s3.stop()  # between two of them: amid one, restic itself tries for 15 minutes
        failed = faulty.await_state("send", lambda memory: memory["problem"])
        assert "was not done within" in failed["problem"]
        assert "refused" in failed["problem"]
        await_health(faulty, "send: the newest is .* old")
        assert float(faulty.metrics()['backup_failures{job="send"}']) > 0
        assert faulty.metrics()["backup_healthy"] == "0"
        s3.start()


def test_the_password_is_a_wrong_one(faulty):
    file = faulty.folder / "secrets/backup_password"
    right = file.read_text()
    with recovers(faulty):
        try:
            file.chmod(0o644)
            file.write_text("x" * 40)
            failed = faulty.await_state("send", lambda memory: "backup_password" in (memory["problem"] or ""))
            assert "is not the password of the repository" in failed["problem"]
            said = faulty.script("restore", check=False)
            assert "is not the password of the repository" in said.stderr
            assert "nothing has changed" in said.stderr
        finally:
            file.write_text(right)


def test_the_repository_is_empty_where_there_was_one(faulty):
    """As when its disk is not mounted. None is made there unasked."""
    with recovers(faulty):
        client = storage()
        config = client.get_object(Bucket="kept", Key="here/config")["Body"].read()
        client.delete_object(Bucket="kept", Key="here/config")
        said = faulty.script("backup", check=False)
        client.put_object(Bucket="kept", Key="here/config", Body=config)
        assert said.returncode != 0
        assert "there is no repository at" in said.stdout


def test_the_container_is_killed_amid_a_backup(faulty):
    faulty.stack.sql("CREATE TABLE large AS SELECT i, md5(i::text) FROM generate_series(1, 600000) AS i")
    with recovers(faulty):
        began, container = time.time(), faulty.stack.container("backup")
        docker("exec", "--detach", container, "python3", "/opt/flagstone/daemon.py", "--base")
        until(lambda: "restic" in docker("top", container, "-eo", "pid,args") and under_way(faulty))
        kill("KILL", docker("inspect", "--format", "{{.State.Pid}}", container))
        until(lambda: docker("inspect", "--format", "{{.RestartCount}}", container) != "0")
        until(lambda: not under_way(faulty), what="what was half written is removed")
        faulty.backup()
        assert faulty.remembered("base")["time"] > began


def under_way(kept):
    return bool(kept.in_backup("sh", "-c", "ls /backup/base 2>/dev/null; true"))


def test_a_piece_of_work_is_killed(faulty):
    """As by the kernel, for its memory."""
    with recovers(faulty):
        again(faulty, BACKUP_BASE_EVERY="3")  # as if a day were over
        container = faulty.stack.container("backup")

        def jobs():
            lines = docker("top", container, "-eo", "pid,args").splitlines()
            return [line.split()[0] for line in lines if line.endswith("daemon.py --base")]

        kill("KILL", *until(jobs))
        failed = faulty.await_state("base", lambda memory: memory["failures"])
        assert "killed by SIGKILL" in failed["problem"]
        again(faulty)


def test_the_database_kept_no_more_wal_for_it(faulty):
    """It was away for longer than POSTGRES_SLOT_WAL lasts: there is a gap, and a new base backup after it."""
    with recovers(faulty):
        lineage = faulty.remembered("lineage")["name"]
        docker("stop", "--time", "5", faulty.stack.container("backup"))
        for _ in range(8):
            faulty.stack.sql("SELECT pg_logical_emit_message(true, 'x', 'x'), pg_switch_wal()")
        faulty.stack.sql("CHECKPOINT")
        assert faulty.stack.sql("SELECT wal_status FROM pg_replication_slots") == "lost"
        docker("start", faulty.stack.container("backup"))
        faulty.await_state("base", lambda memory: memory["lineage"] not in ("", lineage))
        log = faulty.stack.logs("backup")
        assert "There is a gap, so a new base backup is made" in log


def test_the_drill_finds_a_damaged_repository(faulty):
    packs = restic(faulty, "list", "packs", "--quiet").split()
    client = storage()
    objects = {}
    for pack in packs:
        key = f"here/data/{pack[:2]}/{pack}"
        objects[key] = client.get_object(Bucket="kept", Key=key)["Body"].read()
        client.put_object(Bucket="kept", Key=key, Body=objects[key][: len(objects[key]) // 2])
    failed = faulty.script("drill", check=False)
    assert failed.returncode != 0
    await_health(faulty, "drill: ")
    for key, content in objects.items():
        client.put_object(Bucket="kept", Key=key, Body=content)
    faulty.script("drill")
    await_health(faulty, "")


def test_another_machine_has_it_all_from_repository_and_password(faulty):
    """With secrets of its own otherwise."""
    faulty.backup()
    expected = faulty.stack.sql("SELECT sum(i) FROM t")
    docker("stop", "--time", "5", faulty.stack.container("backup"))
    other = keeper("other", BACKUP_REPOSITORY=BUCKET, BACKUP_CREDENTIALS_FILE="./s3-keys")
    for name in (
        "secret_key",
        "postgres_password",
        "postgres_password_b",
        "postgres_backup_password",
        "redis_password",
    ):
        (other.folder / "secrets" / name).chmod(0o644)
        (other.folder / "secrets" / name).write_text(token_hex(24))
    for name in ("secrets/backup_password", "s3-keys"):
        (other.folder / name).unlink(missing_ok=True)
        shutil.copyfile(faulty.folder / name, other.folder / name)
    try:
        other.stack.compose("up", "--no-start", "--build", "db", "backup")
        meet(other)
        other.script("restore")
        other.read_env()
        assert other.stack.sql("SELECT sum(i) FROM t") == expected
        docker("network", "connect", f"{other.stack.project}_edge", socket.gethostname())
        other.stack.await_health("ok")
    finally:
        other.stack.down("--volumes")
        docker("start", faulty.stack.container("backup"))


@contextmanager
def sftp(folder, login):
    """A server of this folder, where who has the key `login` comes in. Yields its line for known_hosts."""
    loop, host = asyncio.new_event_loop(), asyncssh.generate_private_key("ssh-ed25519")

    async def listen():
        await asyncssh.listen(
            port=SSH_PORT,
            server_host_keys=[host],
            authorized_client_keys=asyncssh.import_authorized_keys(login.export_public_key().decode()),
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(folder)),
        )

    Thread(target=loop.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    try:
        yield f"[{STORAGE}]:{SSH_PORT} {host.export_public_key().decode()}"
    finally:
        loop.call_soon_threadsafe(loop.stop)


def test_another_repository_begins_with_a_base_backup_and_speaks_sftp(faulty, tmp_path):
    """And not with a host that shows another key."""
    login = asyncssh.generate_private_key("ssh-ed25519")
    file, key = faulty.folder / "ssh-key", login.export_private_key().decode()
    settings = {"BACKUP_REPOSITORY": f"sftp://who@{STORAGE}:{SSH_PORT}/kept", "BACKUP_CREDENTIALS_FILE": "./ssh-key"}
    with recovers(faulty), sftp(tmp_path, login) as known:
        file.write_text(key + known.replace("ed25519 ", "ed25519 AAAA"))
        began = time.time()
        again(faulty, **settings)
        failed = faulty.await_state("base", lambda memory: memory["tried"] > began and memory["problem"])
        assert "Host key verification failed" in failed["problem"]
        file.write_text(key + known)
        faulty.await_state("base", lambda memory: memory["time"] > began and not memory["problem"])
        faulty.script("backup", **settings)
        assert faulty.script("backups", **settings).stdout.count("UTC") == 2
        faulty.script("drill", **settings)
        again(faulty)


def test_the_disk_gets_full(faulty):
    """The container's own, on which the database is copied before it is sent."""
    environment = {**faulty.stack.environment, "BACKUP_DISK_RESERVE": "50000000"}
    files = ("compose.prod.yaml", "tests/backup/small.yaml")
    small = replace(faulty, stack=replace(faulty.stack, files=files, environment=environment))
    again(small)
    small.await_state("base", lambda memory: memory.get("time"))
    with recovers(small):
        small.in_backup("sh", "-c", "head -c 300000000 /dev/zero >/backup/filler")
        said = small.script("backup", check=False)
        assert said.returncode != 0
        assert re.search("are free in /backup, and .* are needed. Free space", said.stdout), said.stdout
        small.in_backup("rm", "/backup/filler")
    again(faulty)


def test_no_password_is_in_the_log(faulty):
    log = faulty.stack.logs("backup")
    for name in ("backup_password", "postgres_backup_password"):
        assert (faulty.folder / "secrets" / name).read_text() not in log
    assert "AWS_SECRET" not in log
    for line in log.splitlines():
        assert {"time", "level", "logger", "message"} <= json.loads(line).keys()
