"""Backs up the database, the uploads and the queue: docs/backup.md

This process only says when. WAL comes in by one child all the time, and each piece of work is a process of its own, so
an upload of hours holds up nothing, and a kill leaves a whole state. Failing is slow and never fatal.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import repository
import restore
import save
from common import (
    BASE,
    DRILL,
    REPOSITORY,
    STAGE,
    WAL,
    BackupError,
    attempt,
    log,
    mind_the_disk,
    number,
    remembered,
    tool,
)

PORT = 9100
BEAT = 1  # seconds, as everything here
HEARTBEAT = Path("/tmp/heartbeat")
BACKOFF = (15, 3600)
EVERY = {name: number(f"BACKUP_{name.upper()}_EVERY") for name in ("base", "send", "drill")}
LATE = {"base": 1.25, "send": 3, "drill": 2}  # times that, and the newest one is older than promised
GAP = ("can no longer access replication slot", "has already been removed", "is ahead of the WAL flush position")


def pause(failures):
    return min(BACKOFF[0] * 2 ** min(failures - 1, 20), BACKOFF[1])


class Job:
    """One of EVERY: when it is due, and its process."""

    def __init__(self, name):
        self.name, self.process = name, None

    def due(self):
        memory, now = remembered(self.name), time.time()
        lineage, failures = remembered("lineage"), memory.get("failures", 0)
        begun = remembered("base").get("lineage") == lineage.get("name")
        if not lineage or (self.name != "base" and not begun):
            return False  # WAL comes first, and then a base backup
        if failures:
            return not 0 <= now - memory["tried"] < min(pause(failures), EVERY[self.name])  # also when the clock moved
        if self.name == "base" and not begun:
            return True
        if self.name == "drill":
            memory = {"time": lineage["time"], **memory}  # the first one is not at the first start
        return not 0 <= now - memory.get("time", 0) < EVERY[self.name]

    def tend(self):
        if self.process and (code := self.process.poll()) is not None:
            self.process = None
            if code < 0:
                attempt(self.name, lambda: killed(-code))
        elif not self.process and self.due():
            self.process = subprocess.Popen([sys.executable, __file__, f"--{self.name}"])


def killed(by):
    raise BackupError(f"killed by {signal.Signals(by).name}" + (": too little memory?" if by == signal.SIGKILL else ""))


class Receiver:
    """pg_receivewal, started again after pauses that get longer."""

    def __init__(self):
        self.process, self.failures, self.next = None, 0, 0.0

    def tend(self):
        try:
            if not self.process and time.monotonic() >= self.next:
                self.start()
            if self.process:
                mind_the_disk()
                self.check()
        except BackupError as problem:
            self.stop()
            self.failures += 1
            wait = min(pause(self.failures) / 8, 60)
            self.next = time.monotonic() + wait
            log(f"WAL does not stream, next try in {wait:.0f} s: {problem}", "error")

    def start(self):
        save.settle_lineage()
        environment, slot = save.to_the_database(), ("pg_receivewal", "--slot", save.SLOT)
        tool(*slot, "--create-slot", "--if-not-exists", env=environment)
        stream = (*slot, "--directory", str(WAL), "--no-loop", "--synchronous", "--no-password")
        self.process = subprocess.Popen(stream, stderr=subprocess.PIPE, text=True, env=environment)
        self.began = time.monotonic()
        log("WAL is streaming", lineage=remembered("lineage")["name"])

    def check(self):
        if time.monotonic() - self.began > BACKOFF[0]:
            self.failures = 0
        if self.process.poll() is None:
            return
        said = self.process.stderr.read().strip()
        if any(words in said for words in GAP):
            save.begin_lineage(remembered("lineage")["identity"])
            said += ". There is a gap, so a new base backup is made. If it comes again: raise POSTGRES_SLOT_WAL"
        raise BackupError(said)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None


def problems():
    """Why backups are not what is promised: a line each."""
    started = remembered("lineage").get("time", time.time())
    for name, every in EVERY.items():
        memory = remembered(name)
        age = time.time() - memory.get("time", started)
        if memory.get("problem") and (name == "drill" or "time" not in memory):
            yield f"{name}: {memory['problem']}"
        elif age > every * LATE[name]:
            yield f"{name}: the newest is {age / 60:.0f} min old. {memory.get('problem') or ''}"


def metrics():
    """In the text form of Prometheus."""
    for name in EVERY:
        memory = remembered(name)
        yield f'backup_last_success_timestamp_seconds{{job="{name}"}} {memory.get("time", 0)}'
        yield f'backup_failures{{job="{name}"}} {memory.get("failures", 0)}'
        yield f'backup_duration_seconds{{job="{name}"}} {memory.get("seconds", 0)}'
        yield f'backup_size_bytes{{job="{name}"}} {memory.get("bytes", 0)}'
    yield f"backup_stage_free_bytes {os.statvfs(STAGE).f_bavail * os.statvfs(STAGE).f_frsize}"
    yield f"backup_healthy {int(not [*problems()])}"


class Metrics(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/metrics" else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.end_headers()
        if self.path == "/metrics":
            self.wfile.write("".join(f"{line}\n" for line in metrics()).encode())

    def log_message(self, *_):
        pass


def main():
    jobs, receiver = [Job(name) for name in EVERY], Receiver()
    if REPOSITORY == "off":
        log("BACKUP_REPOSITORY is off: nothing is backed up here", "warning")
        jobs, receiver.tend = [], HEARTBEAT.touch

    def end(*_):
        receiver.stop()
        sys.exit(0)

    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, end)
    Thread(target=ThreadingHTTPServer(("", PORT), Metrics).serve_forever, daemon=True).start()
    for leftover in (BASE, DRILL):
        shutil.rmtree(leftover, ignore_errors=True)
    if REPOSITORY == "/repository":
        log("BACKUP_REPOSITORY is not set: the backups are on this machine's own disk, and end with it", "warning")
    if jobs:
        try:
            repository.forget_own_locks()
        except BackupError as problem:
            log(f"locks are not looked at: {problem}", "warning")
    while True:
        HEARTBEAT.touch()
        receiver.tend()
        for job in jobs:
            job.tend()
        time.sleep(BEAT)


def now():
    """A base backup, and what came since: make backup."""
    return attempt("base", save.base) or attempt("send", save.send)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["--now"]:
            sys.exit(1 if now() else 0)
        case ["--healthy"]:
            alive = HEARTBEAT.exists() and time.time() - HEARTBEAT.stat().st_mtime < 120
            sys.exit("\n".join(problems()) or (0 if alive else "no heartbeat: the loop hangs"))
        case ["--drill"]:
            problem = attempt("drill", restore.drill)
            if not problem and os.environ.get("LOG_FORMAT") == "text":  # a person is at the other end
                print("\n".join(restore.report(remembered("drill"))))
            sys.exit(1 if problem else 0)
        case ["--base" | "--send" as job]:
            sys.exit(1 if attempt(job[2:], getattr(save, job[2:])) else 0)
