"""What was acknowledged before the last backup comes back, from nothing but the repository and its password."""

import re
import threading
import time
from base64 import b64encode

import pytest

from tests.shell import docker
from tests.stack.test_background import LAST
from tests.wait import until


class Writer(threading.Thread):
    """Commits rows one after another, and keeps those that were acknowledged."""

    def __init__(self, stack):
        super().__init__()
        self.stack, self.acknowledged, self.over = stack, [], False

    def run(self):
        number = 0
        while not self.over:
            number += 1
            self.stack.sql(f"INSERT INTO probe_item (name, text) VALUES ('written-{number}', '')")  # noqa: S608
            self.acknowledged.append(f"written-{number}")


def test_the_latest_has_each_row_that_was_acknowledged_and_each_upload(kept):
    kept.add_uploads("Grüße 'und' \"mehr\" $x")
    kept.backup()
    writer = Writer(kept.stack)
    writer.start()
    try:
        while len(writer.acknowledged) < 5:
            writer.join(0.1)
        kept.add_uploads("later")
        expected, uploads = [*writer.acknowledged], kept.uploads()
        kept.send()
    finally:
        writer.over = True
        writer.join()
    kept.lose_everything()
    said = kept.restore()
    assert set(expected) <= set(kept.rows())
    assert kept.uploads() == uploads
    assert re.search(r"^checked +pages, indexes; \d+ tables, \d+ rows$", said, re.MULTILINE)
    kept.stack.site.get("/api/items")  # the application uses it
    kept.stack.await_health("ok")


def test_a_point_in_time_has_what_was_before_and_nothing_after(kept):
    kept.backup()
    moment = kept.add_row("before")
    kept.stack.compose("stop", "worker")  # so what is queued stays there
    job = kept.stack.site.request("POST", "/api/jobs").headers["Location"].rpartition("/")[2]
    message = b64encode(f'[["{job}'.encode()).decode()  # of 39 bytes: whatever follows, it begins like that
    assert message in kept.stack.redis("lrange", LAST, "0", "-1")
    kept.add_row("after")
    kept.send()
    before = kept.stack.environment.get("RESTORED", "")
    said = kept.restore(at=moment)
    assert "before" in kept.rows()
    assert "after" not in kept.rows()
    # The queue is of the backup, not of that moment: whose row is gone, says so and ends.
    until(lambda: f"Job {job} is not in the database" in kept.stack.logs("worker"))
    # Others may be there: the copy has what a worker had in hand, for which nobody answers before the time-out.
    until(lambda: message not in kept.stack.redis("hvals", "unacked"))
    # What ran until now is still there, and one line leads back to it.
    assert f"{kept.stack.project}_db{before}" in said
    with kept.stack.without("backup"):  # to which each of them is a new database
        kept.stack.environment["RESTORED"] = before
        kept.stack.compose("up", "--detach", "--wait", "db")
        assert "after" in kept.rows()
        kept.read_env()
        kept.stack.compose("up", "--detach", "--wait", "db")


def await_own_base(kept):
    """A base backup of the database as it is now: after a restore it has another history."""
    kept.send()
    kept.await_state("base", lambda memory: memory.get("lineage") == kept.remembered("lineage")["name"])


@pytest.mark.long
def test_after_a_restore_backups_go_on_by_themselves(kept):
    """The restored database has another history: its WAL does not belong to the former base backups.

    The moment that is asked for is one after which nothing was committed.
    """
    await_own_base(kept)
    moment = kept.add_row("goes-on")
    kept.send()
    kept.lose_everything()
    kept.restore(at=moment)
    assert "goes-on" in kept.rows()


def test_a_moment_that_no_backup_has_is_refused_and_nothing_changes(kept):
    volumes = docker("volume", "ls", "--quiet", "--filter", f"name={kept.stack.project}")
    for at, words in {
        "2001-01-01 00:00:00+00": "no base backup in /repository is as old as that",
        "2101-01-01 00:00:00+00": "what is there ends at",
        "yesterday": 'at="yesterday" is no point in time with a zone',
    }.items():
        failed = kept.script("restore", at, check=False)
        assert failed.returncode != 0
        assert words in failed.stderr
        assert "nothing has changed" in failed.stderr
    assert docker("volume", "ls", "--quiet", "--filter", f"name={kept.stack.project}") == volumes
    kept.stack.await_health("ok")


def test_the_list_has_each_backup_with_its_size_and_age(kept):
    lines = kept.script("backups").stdout.splitlines()
    assert len(lines) > 2
    for line in lines:
        assert re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC +\d+\.\d [MG]B +\d+\.\d h old", line)


def test_the_drill_says_what_it_found_and_leaves_nothing(kept):
    await_own_base(kept)
    kept.send()
    began = time.time()
    said = kept.script("drill").stdout
    assert re.search(rf"^rows +{len(kept.rows())} public\.probe_item$", said, re.MULTILINE), said
    assert float(kept.metrics()['backup_last_success_timestamp_seconds{job="drill"}']) > began
    assert not kept.in_backup("sh", "-c", "ls /backup/drill 2>/dev/null; true")
