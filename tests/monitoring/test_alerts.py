"""What is broken is told, by mail, by a webhook and in a chat, and so is that it is well again."""

import re
import time
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from threading import Event, Thread

import pytest
import yaml

from tests.shell import docker, run
from tests.wait import until

RULES = [
    rule for group in yaml.safe_load(Path("monitoring/alerts.yml").read_text())["groups"] for rule in group["rules"]
]
JOBS = {job["job_name"] for job in yaml.safe_load(Path("monitoring/prometheus.yml").read_text())["scrape_configs"]}
SELECTOR = re.compile(r"\b(up|[a-z]+_[A-Za-z_0-9]+)\b(\{[^}]*\})?(?!\()")
NO_SERIES = {"group_left", "histogram_quantile", "predict_linear"}


def selectors(expression):
    """The series that it names: {job="app"} of up{job="app"} included."""
    found = SELECTOR.finditer(re.sub(r"\b(by|on|group_left) \([^)]*\)", "", expression))
    return [name + (labels or "") for name, labels in (match.groups() for match in found) if name not in NO_SERIES]


@pytest.fixture(scope="module")
def used(monitored):
    """The stack, after a request that failed and a write that was refused: there are series only of what happened."""
    monitored.site.get("/boom")
    monitored.redis("config", "set", "maxmemory", "1")
    monitored.redis("set", "refused", "1")
    monitored.redis("config", "set", "maxmemory", "128mb")
    return monitored


def test_prometheus_reaches_whatever_it_asks(monitored):
    def all_well():
        up = {labels["job"]: value for labels, value in monitored.query("up")}
        assert up == dict.fromkeys(JOBS, 1.0), up
        probes = {labels["job"]: value for labels, value in monitored.query("probe_success")}
        assert probes == {"site": 1.0, "redirect": 1.0}, probes
        return True

    until(all_well)


def test_what_the_alerts_look_at_is_there(used):
    """An expression whose series have another name would be silent for ever."""
    wanted = {rule["alert"]: selectors(rule["expr"]) for rule in RULES}
    assert all(wanted.values())
    for selector in {selector for found in wanted.values() for selector in found}:

        def values(selector=selector):
            return [value for _, value in used.query(selector) if not isnan(value)]

        until(values, what=selector)


def test_nothing_fires_without_a_cause(monitored):
    """But for this machine's own: nothing may keep its clock, and something else may fill its disk."""

    def quiet():
        firing = {labels["alertname"] for labels, _ in monitored.query('ALERTS{alertstate="firing"}')}
        firing -= {"ClockOff", "CertificateRenewalFails", "RedisRefusesWrites"}
        firing -= {"DiskFilling", "DiskAlmostFull", "DiskFullSoon"}
        assert firing == {"Watchdog"}, firing
        return True

    until(quiet)


def test_a_site_that_is_down_is_told_and_so_is_that_it_is_back(monitored):
    with monitored.telling("SiteDown") as await_told, monitored.without("nginx"):
        mail = await_told()
    assert "To: you@example.com" in mail
    assert "does not answer" in mail
    assert "docs/runbook.md#sitedown" in mail
    assert monitored.told.mailbox.logins[-1] == ("user", "hunter2")
    assert all(monitored.told.mailbox.secured)


def test_the_heartbeat_comes(monitored):
    before = monitored.told.heartbeats
    until(lambda: monitored.told.heartbeats >= before + 2, what="two heartbeats")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"ALERT_EMAIL": "", "ALERT_WEBHOOK": "", "ALERT_SLACK_WEBHOOK": ""},
            "Set ALERT_EMAIL, ALERT_WEBHOOK or ALERT_SLACK",
        ),
        ({"MAIL_SERVER": ""}, "set MAIL_SERVER in .env"),
        ({"MAIL_PASSWORD_IN_ENV": "yes"}, "MAIL_PASSWORD_FILE"),
    ],
)
def test_settings_by_which_nobody_would_be_told_are_refused(monitored, settings, said):
    # It would be over at once, and then the Engine may lose what it said: tests/images/container.py.
    stay = ("-c", "sh /etc/monitoring/alertmanager.sh; code=$?; sleep 1; exit $code")
    refusal = monitored.once("alertmanager", *stay, environment=settings, options=("--entrypoint", "sh"))
    assert refusal.returncode == 1
    assert said in refusal.stderr


@contextmanager
def full_queue(stack):
    with stack.without("worker"):
        stack.redis("eval", "\"for i = 1, 600 do redis.call('lpush', 'celery', 'x') end\"", "0")
        try:
            yield
        finally:
            stack.redis("del", "celery")


@contextmanager
def full_redis(stack):
    stack.redis("config", "set", "maxmemory", "1")
    try:
        assert "OOM" in stack.redis("set", "refused", "1")
        yield
    finally:
        stack.redis("config", "set", "maxmemory", "128mb")


@contextmanager
def old_certificate(stack):
    stack.serve_certificate(days=10)
    try:
        yield
    finally:
        stack.serve_certificate(days=60)


@contextmanager
def old_backup(stack):
    """Of two days ago, and the last try just failed."""
    memory = "{'time': time.time() - 172800, 'failures': 9, 'tried': time.time(), 'problem': 'no way there'}"
    first = 'backup_last_success_timestamp_seconds{exported_job="base"} > 0'
    until(lambda: stack.query(first), what="a first backup")
    stack.exec("backup", "python3", "-c", f"{COMMON}common.remember('base', {memory})")
    try:
        yield
    finally:
        stack.exec("backup", "python3", "/opt/flagstone/daemon.py", "--now")


@contextmanager
def many_connections(stack):
    session = "psql -qU postgres app -c 'SELECT pg_sleep(300)' >/dev/null 2>&1 &"
    limit = int(stack.sql("SHOW max_connections"))
    docker(
        "exec",
        "--detach",
        stack.container("db"),
        "sh",
        "-c",
        f"for i in $(seq {int(limit * 0.85)}); do {session} done; wait",
    )
    try:
        yield
    finally:
        stack.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")


@contextmanager
def errors(stack):
    """For as long as it takes: of a counter that has just come into being, no increase is seen."""
    mended = Event()

    def visit():
        while not mended.wait(0.2):
            stack.site.get("/boom")

    visitor = Thread(target=visit)
    visitor.start()
    try:
        yield
    finally:
        mended.set()
        visitor.join()


@contextmanager
def out_of_memory(stack):
    stack.try_exec("worker", "python", "-c", "b'x' * 10**10")
    yield


COMMON = "import sys, time; sys.path.insert(0, '/opt/flagstone'); import common; "
FAULTS = {
    "AppDown": lambda stack: stack.without("app"),
    "WorkerGone": lambda stack: stack.without("worker"),
    "BeatSilent": lambda stack: stack.without("beat"),
    "RedisDown": lambda stack: stack.without("redis"),
    "DatabaseDown": lambda stack: stack.without("db"),
    "TargetDown": lambda stack: stack.without("node-exporter"),
    "QueueGrows": full_queue,
    "RedisRefusesWrites": full_redis,
    "DatabaseConnectionsHigh": many_connections,
    "CertificateExpires": old_certificate,
    "BackupLate": old_backup,
    "ErrorRateHigh": errors,
    "KilledForMemory": out_of_memory,
}


@pytest.mark.long
@pytest.mark.parametrize("alert", FAULTS)
def test_a_fault_is_told_and_so_is_its_end(monitored, alert):
    with monitored.telling(alert) as await_told, FAULTS[alert](monitored):
        await_told()


def commands(*pages):
    text = "".join(Path("docs", page).read_text() for page in pages)
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return sorted(
        {line for block in blocks for line in block.splitlines() if line.startswith(("docker", "make", "df", "date"))}
    )


@pytest.mark.long
@pytest.mark.parametrize("command", commands("monitoring.md", "runbook.md"))
def test_what_the_pages_say_to_type_can_be_typed(monitored, command):
    if " up " not in command:
        environment = {**monitored.environment, "COMPOSE_PROJECT_NAME": monitored.project}
        command = command.replace(" exec ", " exec -T ")  # there is no terminal
        run("bash", "-euo", "pipefail", "-c", command, cwd=str(monitored.folder), **environment)


@pytest.mark.long
def test_renewals_that_fail_are_told(monitored):
    """There is no authority here, so this is not mended."""
    for failures in (2, 3):
        monitored.exec("certbot", "python3", "/opt/flagstone/renew.py", "--now")
        until(lambda n=failures: [v for _, v in monitored.query("certbot_failures") if v >= n])
    until(lambda: ("firing", "CertificateRenewalFails") in monitored.told.alerts)


@pytest.mark.long
def test_the_heartbeat_stops_with_prometheus_and_comes_back_with_it(monitored):
    with monitored.without("prometheus"):

        def silent():
            before = monitored.told.heartbeats
            time.sleep(15)  # five times the pause between two
            return monitored.told.heartbeats == before

        until(silent, what="no heartbeat for 15 s")
    before = monitored.told.heartbeats
    until(lambda: monitored.told.heartbeats > before, what="a heartbeat")
