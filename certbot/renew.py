"""Obtains the certificate of DOMAIN and keeps it fresh: certbot at start, and then twice a day.

Each ACME server has a state of its own below /etc/letsencrypt; `current` there is what nginx serves. Failing is slow
and never fatal: the next try is after 1, 10 and 100 minutes, then daily, the schedule that Let's Encrypt asks of
clients (https://letsencrypt.org/docs/integration-guide/#retrying-failures), and a restart does not shorten it.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

SERVERS = {
    "production": "https://acme-v02.api.letsencrypt.org/directory",
    "staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
HALF_A_DAY = 12 * 3600  # seconds, as everything here
BACKOFF = [60, 600, 6000, 86400]
CERTBOT_AT_MOST = 300
HEARTBEAT = Path("/tmp/heartbeat")
BEAT = 20
NO_REASON = ("Saving debug log to", "Ask for help or search", "See the logfile")

ROOT = Path("/etc/letsencrypt")
SERVER = os.environ.get("ACME_SERVER") or "production"
STATE = ROOT / re.sub(r"[^A-Za-z0-9]+", "-", SERVER)
FAILURES = STATE / "failures.json"
NAMES = [os.environ.get("DOMAIN", ""), *os.environ.get("DOMAIN_ALIASES", "").split()]


def log(message):
    print(f"certbot: {message}", flush=True)


def wait(seconds):
    """Sleep, and show the health check that this loop is alive."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        HEARTBEAT.touch()
        time.sleep(min(left, BEAT))
    HEARTBEAT.touch()


def failures():
    """How often in a row this set of names failed, and when to try again; (0, 0.0) where it did not."""
    try:
        state = json.loads(FAILURES.read_text())
    except OSError, ValueError:
        return 0, 0.0
    if state["names"] != NAMES:
        return 0, 0.0
    return state["count"], min(state["next"], time.time() + BACKOFF[-1])  # whatever the clock was then


def certify():
    """Let certbot decide whether a certificate is due. Returns None, or why there is none."""
    email = os.environ.get("ACME_EMAIL")
    command = [
        *("certbot", "certonly", "--non-interactive", "--agree-tos", "--keep-until-expiring", "--expand"),
        *("--webroot", "--webroot-path", "/var/www/acme", "--server", SERVERS.get(SERVER, SERVER)),
        *(("--email", email) if email else ("--register-unsafely-without-email",)),
        *("--config-dir", str(STATE), "--work-dir", "/tmp/work", "--logs-dir", "/tmp/log"),
        *("--cert-name", NAMES[0], "--domains", ",".join(NAMES)),
    ]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CERTBOT_AT_MOST)
    except subprocess.TimeoutExpired:
        return f"{SERVER} did not answer within {CERTBOT_AT_MOST} s"
    if result.returncode == 0:
        return None
    said = (result.stdout + result.stderr).splitlines()
    reasons = [line.strip() for line in said if line and not line.startswith(NO_REASON)]
    return " ".join(reasons[-4:]) or f"certbot exited with {result.returncode}"


def serve():
    """Point `current` to this server's certificate, if there is one. Until then nginx serves what it has."""
    live = STATE / "live" / NAMES[0]
    if live.exists():
        new = ROOT / "current.new"
        new.unlink(missing_ok=True)
        new.symlink_to(live.relative_to(ROOT))
        new.replace(ROOT / "current")


def main():
    # PID 1 has no default handlers: without these, `docker stop` waits its whole grace period.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    if "." not in NAMES[0]:
        log(f"no authority certifies {NAMES[0] or 'an empty name'}: set DOMAIN in .env to the public name of this site")
        wait(float("inf"))
    serve()
    count, due = failures()
    if count:
        log(f"{count} failed so far, next try in {max(due - time.time(), 0) / 60:.0f} min; sooner: renew.py --now")
    while True:
        while failures()[1] > time.time():  # read each time: --now may have forgotten them
            wait(BEAT)
        HEARTBEAT.touch()
        problem = certify()
        if problem:
            count, _ = failures()
            pause = BACKOFF[min(count, len(BACKOFF) - 1)]
            STATE.mkdir(exist_ok=True)
            FAILURES.write_text(json.dumps({"names": NAMES, "count": count + 1, "next": time.time() + pause}))
            log(f"no certificate for {' '.join(NAMES)}, next try in {pause // 60} min: {problem}")
        else:
            FAILURES.unlink(missing_ok=True)
            serve()
            pause = HALF_A_DAY - random.uniform(0, 3600)  # noqa: S311 - jitter, not a secret
            log(f"the certificate of {' '.join(NAMES)} is good; next check in {pause / 3600:.0f} h")
            wait(pause)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["--now"]:  # forget the failures; the loop tries within seconds
            FAILURES.unlink(missing_ok=True)
        case ["--healthy"]:
            alive = HEARTBEAT.exists() and time.time() - HEARTBEAT.stat().st_mtime < CERTBOT_AT_MOST + 2 * BEAT
            sys.exit(0 if alive else "no heartbeat: the loop hangs")
