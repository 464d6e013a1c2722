"""Obtains the certificate of DOMAIN and keeps it fresh: certbot at start, and then twice a day.

Failing is slow and never fatal: the next try is after 1, 10 and 100 minutes, then daily, the schedule that
Let's Encrypt asks of clients (https://letsencrypt.org/docs/integration-guide/#retrying-failures).
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

SERVERS = {
    "production": "https://acme-v02.api.letsencrypt.org/directory",
    "staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
HALF_A_DAY = 12 * 3600
BACKOFF = [60, 600, 6000, 86400]
HEARTBEAT = Path("/tmp/heartbeat")
BEAT = 20
CERTBOT_AT_MOST = 300  # seconds
NO_REASON = ("Saving debug log to", "Ask for help or search", "See the logfile")


def log(message):
    print(f"certbot: {message}", flush=True)


def wait(seconds):
    """Sleep, and show the health check that this loop is alive."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        HEARTBEAT.touch()
        time.sleep(min(left, BEAT))


def certify(domain):
    """Let certbot decide whether a certificate is due. Returns None, or why there is none."""
    server = os.environ.get("ACME_SERVER") or "production"
    email = os.environ.get("ACME_EMAIL")
    command = [
        *("certbot", "certonly", "--non-interactive", "--agree-tos", "--keep-until-expiring", "--expand"),
        *("--webroot", "--webroot-path", "/var/www/acme", "--server", SERVERS.get(server, server)),
        *(("--email", email) if email else ("--register-unsafely-without-email",)),
        *("--config-dir", "/etc/letsencrypt", "--work-dir", "/tmp/work", "--logs-dir", "/tmp/log"),
        *("--cert-name", domain, "--domains", ",".join([domain, *os.environ.get("DOMAIN_ALIASES", "").split()])),
    ]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CERTBOT_AT_MOST)
    except subprocess.TimeoutExpired:
        return f"{server} did not answer within {CERTBOT_AT_MOST} s"
    if result.returncode == 0:
        return None
    said = (result.stdout + result.stderr).splitlines()
    reasons = [line.strip() for line in said if line and not line.startswith(NO_REASON)]
    return " ".join(reasons[-4:]) or f"certbot exited with {result.returncode}"


def main():
    # PID 1 has no default handlers: without these, `docker stop` waits its whole grace period.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    domain = os.environ.get("DOMAIN", "")
    if "." not in domain:
        log(f"no authority certifies {domain or 'an empty name'}: set DOMAIN in .env to the public name of this site")
        while True:
            wait(HALF_A_DAY)
    failures = 0
    while True:
        HEARTBEAT.touch()
        problem = certify(domain)
        if problem:
            pause = BACKOFF[min(failures, len(BACKOFF) - 1)]
            failures += 1
            log(f"no certificate for {domain}, next try in {pause // 60} min: {problem}")
        else:
            failures, pause = 0, HALF_A_DAY - random.uniform(0, 3600)  # noqa: S311 - jitter, not a secret
            log(f"the certificate of {domain} is good; next check in {pause / 3600:.0f} h")
        wait(pause)


if __name__ == "__main__":
    if sys.argv[1:] == ["--healthy"]:
        alive = HEARTBEAT.exists() and time.time() - HEARTBEAT.stat().st_mtime < CERTBOT_AT_MOST + 2 * BEAT
        sys.exit(0 if alive else "no heartbeat: the loop hangs")
    main()
