"""Obtains the certificate of DOMAIN and keeps it fresh: certbot at start, and then twice a day.

Each ACME server has a state of its own below /etc/letsencrypt; `current` there is what nginx serves. Failing is slow
and never fatal: the next try is after 1, 10 and 100 minutes, then daily, the schedule that Let's Encrypt asks of
clients (https://letsencrypt.org/docs/integration-guide/#retrying-failures), and a restart does not shorten it.
"""

import fcntl
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import preflight

SERVERS = {
    "production": "https://acme-v02.api.letsencrypt.org/directory",
    "staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
HALF_A_DAY = 12 * 3600  # seconds, as everything here
BACKOFF = [60, 600, 6000, 86400]
TRIES_WITH_PREFLIGHT = 2  # then the authority has the last word: a machine may be unable to reach its own public name
PROPAGATION = os.environ.get("DNS_PROPAGATION") or "0"
if not PROPAGATION.isdecimal():
    sys.exit("DNS_PROPAGATION is a number of seconds, such as 60")
CERTBOT_AT_MOST = 300 + int(PROPAGATION)  # it sleeps as long as that
BEAT = 5
HEARTBEAT = Path("/tmp/heartbeat")
NOW = Path("/tmp/now")
LOCK = Path("/tmp/lock")
NO_REASON = ("Saving debug log to", "Ask for help or search", "See the logfile")

ROOT = Path("/etc/letsencrypt")
WEBROOT = Path("/var/www/acme")
NUMBERS = WEBROOT / "certbot.prom"  # for Prometheus, by node-exporter. nginx serves only what lies deeper
CREDENTIALS = Path("/run/secrets/dns_credentials")
SERVER = os.environ.get("ACME_SERVER") or "production"
PLUGIN = os.environ.get("DNS_PLUGIN")
STATE = ROOT / re.sub(r"[^A-Za-z0-9]+", "-", SERVER)
MEMORY = STATE / "state.json"
NAMES = [os.environ.get("DOMAIN", ""), *os.environ.get("DOMAIN_ALIASES", "").split()]


def log(message, level="info"):
    line = {"time": f"{datetime.now(UTC):%FT%T.%fZ}", "level": level, "logger": "certbot", "message": message}
    print(json.dumps(line), flush=True)


def minutes(seconds):
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.0f} h"


def nothing_to_do():
    """Why no authority is asked at all, or None."""
    if os.environ.get("TLS") == "off":
        return "TLS=off: the certificate is the business of the proxy in front"
    if os.environ.get("TLS_CERT_FILE"):
        return "TLS_CERT_FILE is set: nginx serves your own certificate, and renewing it is yours"
    if "." not in NAMES[0]:
        return (
            f"no authority certifies {NAMES[0] or 'an empty name'}: set DOMAIN in .env to the public name of this site"
        )
    return None


def wait(seconds):
    """Sleep, and show the health check that this loop is alive. Ends early when `--now` asks for it."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not NOW.exists():
        HEARTBEAT.touch()
        time.sleep(min(left, BEAT))
    NOW.unlink(missing_ok=True)
    HEARTBEAT.touch()


def remembered():
    """How often in a row these names failed, why, and when to look again (seconds since the epoch)."""
    try:
        memory = json.loads(MEMORY.read_text())
        if memory["names"] == NAMES:
            return memory
    except OSError, ValueError, KeyError:
        pass
    return {"names": NAMES, "failures": 0, "problem": None, "next": 0.0}


def remember(memory):
    short_lived = int(os.environ.get("ACME_PROFILE") == "shortlived")
    numbers = f"certbot_failures {memory['failures']}\ncertbot_short_lived {short_lived}\n"
    for file, text in ((MEMORY, json.dumps(memory)), (NUMBERS, numbers)):
        new = file.with_suffix(".new")
        try:
            file.parent.mkdir(exist_ok=True)
            new.write_text(text)
            new.replace(file)
        except OSError as error:  # a full disk: this process still knows
            log(f"{file} cannot be written: {error.strerror}", "error")


def authenticator():
    """certbot's options for proving that the names are ours: by a file that nginx serves, or by a record in DNS."""
    if not PLUGIN:
        return ["--webroot", "--webroot-path", str(WEBROOT)]
    options = ["--authenticator", f"dns-{PLUGIN}"]
    if CREDENTIALS.stat().st_size:
        options += [f"--dns-{PLUGIN}-credentials", str(CREDENTIALS)]
    if int(PROPAGATION):
        options += [f"--dns-{PLUGIN}-propagation-seconds", PROPAGATION]
    return options


def certbot(*options):
    """Let certbot decide whether a certificate is due, and get it. Returns None, or why it failed."""
    email, profile = os.environ.get("ACME_EMAIL"), os.environ.get("ACME_PROFILE")
    command = [
        *("certbot", "certonly", "--non-interactive", "--agree-tos", "--keep-until-expiring"),
        *(*authenticator(), "--server", SERVERS.get(SERVER, SERVER)),
        *(("--email", email) if email else ("--register-unsafely-without-email",)),
        *(("--preferred-profile", profile) if profile else ()),
        *("--config-dir", str(STATE), "--work-dir", "/tmp/work", "--logs-dir", "/tmp/log"),
        *("--cert-name", NAMES[0], "--domains", ",".join(NAMES), *options),
    ]
    try:
        with LOCK.open("w") as lock:  # certbot refuses to run twice at once, as when a dry run meets the loop's check
            fcntl.flock(lock, fcntl.LOCK_EX)
            result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CERTBOT_AT_MOST)
    except subprocess.TimeoutExpired:
        return f"{SERVER} did not answer within {CERTBOT_AT_MOST} s"
    if result.returncode == 0:
        return None
    said = (result.stdout + result.stderr).splitlines()
    reasons = [line.strip() for line in said if line and not line.startswith(NO_REASON)]
    return " ".join(reasons[-4:]) or f"certbot exited with {result.returncode}"


def certify(failures=0, *options):
    """One try, the preflight first. Returns None, or why it failed."""
    problem = None if PLUGIN else preflight.problem(NAMES, WEBROOT)
    if problem and failures < TRIES_WITH_PREFLIGHT:
        return problem
    if problem:
        log(f"{problem}; asking the authority all the same, it may see more", "warning")
    return certbot(*options)


def kept(folder=STATE / "live" / NAMES[0]):
    """A certificate of certbot's. Raises OSError or ValueError where there is none."""
    from cryptography import x509  # here: it takes memory, and the loop has no other use for it

    return x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())


def missing():
    """What a failed try means: there is no certificate, or the one that nginx serves gets older."""
    names = " ".join(NAMES)
    try:
        end = kept(ROOT / "current").not_valid_after_utc
    except OSError, ValueError:
        return f"no certificate for {names}"
    state = "is good until" if end > datetime.now(UTC) else "ended on"
    return f"no new certificate for {names}, the one that is served {state} {end:%Y-%m-%d %H:%M} UTC"


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
    if reason := nothing_to_do():
        log(reason)
        NUMBERS.unlink(missing_ok=True)
        wait(float("inf"))
    serve()
    memory = remembered()
    if failures := memory["failures"]:
        left = min(max(memory["next"] - time.time(), 0), BACKOFF[-1])  # whatever the clock was then
        log(f"{failures} failed so far, next try in {minutes(left)}; sooner: make cert-now", "warning")
        wait(left)
    while True:
        problem = certify(memory["failures"])
        if problem:
            pause = BACKOFF[min(memory["failures"], len(BACKOFF) - 1)]
            log(f"{missing()}, next try in {minutes(pause)}: {problem}", "error")
        else:
            serve()
            pause = HALF_A_DAY - random.uniform(0, 3600)  # noqa: S311 - jitter, not a secret
            log(f"the certificate of {' '.join(NAMES)} is good; next check in {minutes(pause)}")
        failures = memory["failures"] + 1 if problem else 0
        memory |= {"failures": failures, "problem": problem, "next": time.time() + pause}
        remember(memory)
        wait(pause)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["--now"]:  # the loop looks within seconds
            NOW.touch()
        case ["--dry-run"]:  # against the staging server, where ACME_SERVER is production
            sys.exit(nothing_to_do() or certify(0, "--dry-run") or print("certbot: the dry run went well"))
        case ["--healthy"]:
            at_most = 2 * CERTBOT_AT_MOST + 60  # a dry run may go first
            alive = HEARTBEAT.exists() and time.time() - HEARTBEAT.stat().st_mtime < at_most
            sys.exit(0 if alive else "no heartbeat: the loop hangs")
