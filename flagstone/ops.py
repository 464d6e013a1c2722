"""GET /ops/: the state that matters, at a glance, for whoever has the password of OPS_USER. docs/monitoring.md

The numbers are those of Prometheus, in the profile `monitoring`; without it the page says so. What is good and what is
bad, only the alerts say (monitoring/alerts.yml). nginx counts who tries passwords: nginx/http/rate-limits.conf.template
"""

import json
import logging
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from http.client import HTTPException
from math import isnan
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

from flask import Blueprint, Flask, Response, current_app, render_template, request
from werkzeug.datastructures import Authorization, WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from flagstone.csp import csp_nonce

blueprint = Blueprint("flagstone_ops", __name__, template_folder="templates")
logger = logging.getLogger(__name__)

PROMETHEUS = "http://prometheus:9090/api/v1/"
LIMIT = 2  # seconds, for all that it is asked
SPACE = "\N{NO-BREAK SPACE}"  # no unit stands alone in a line
REQUESTS, ERRORS = "flask_http_request_duration_seconds", '{status=~"5.."}'
NUMBERS = {
    "site": 'min(probe_success{job="site"})',
    "visit": 'max(probe_duration_seconds{job="site"})',
    "rate": f"sum(rate({REQUESTS}_count[5m]))",
    "errors": f"(sum(rate({REQUESTS}_count{ERRORS}[5m])) or vector(0)) / sum(rate({REQUESTS}_count[5m]))",
    "p50": f"histogram_quantile(0.50, sum by (le) (rate({REQUESTS}_bucket[5m])))",
    "p99": f"histogram_quantile(0.99, sum by (le) (rate({REQUESTS}_bucket[5m])))",
    "under way": f"sum(rate({REQUESTS}_sum[5m]))",  # on average
    "pool": "sum(database_pool_checked_out)",
    "pool limit": "sum(database_pool_size)",
    "connections": "sum(pg_stat_activity_count)",
    "connections limit": "max(pg_settings_max_connections)",
    "queue": "sum(celery_queue_length)",
    "worker": 'time() - max(celery_heartbeat_timestamp_seconds{process="worker"})',
    "beat": 'time() - max(celery_heartbeat_timestamp_seconds{process="beat"})',
    "processor": '1 - avg(rate(node_cpu_seconds_total{mode="idle"}[5m]))',
    "memory": "1 - sum(node_memory_MemAvailable_bytes) / sum(node_memory_MemTotal_bytes)",
    "disk": "max(1 - node_filesystem_avail_bytes / node_filesystem_size_bytes)",
    "backup": 'time() - max(backup_last_success_timestamp_seconds{exported_job=~"base|send"} != 0)',
    "drill": 'time() - max(backup_last_success_timestamp_seconds{exported_job="drill"} != 0)',
    "certificate": 'min(probe_ssl_earliest_cert_expiry{job="site"}) - time()',
    "answers": "sum(up)",
    "asked": "count(up)",
}
# All of them at once: each with its name as a label.
QUERY = " or ".join(f'label_replace({number}, "number", "{name}", "", "")' for name, number in NUMBERS.items())
# Which alerts concern what.
ALERTS = {
    "Site": ("SiteDown", "AppDown", "RedirectBroken"),
    "Errors": ("ErrorRateHigh",),
    "Latency": ("LatencyHigh",),
    "Database": ("DatabaseDown", "DatabaseConnectionsHigh"),
    "Queue": ("QueueGrows", "WorkerGone", "BeatSilent", "RedisDown", "RedisEvicts", "RedisRefusesWrites"),
    "Server": ("DiskFilling", "DiskAlmostFull", "DiskFullSoon", "MemoryLow", "KilledForMemory", "ClockOff"),
    "Release": ("Restarts",),
    "Backup": ("BackupLate", "RestoreDrillFails", "ReplicationSlotGrows"),
    "Certificate": ("CertificateExpires", "CertificateRenewalFails"),
    "Monitoring": ("TargetDown", "AlertsNotDelivered"),
}


def init_app(app: Flask) -> None:
    if app.config["OPS_USER"]:
        app.register_blueprint(blueprint)


@blueprint.get("/ops/")
def glance() -> str:
    if not is_known(request.authorization):
        raise Unauthorized(www_authenticate=WWWAuthenticate("basic", {"realm": "ops", "charset": "UTF-8"}))
    numbers, alerts = look()
    tiles = [
        {"name": name, "value": value, "detail": detail, "state": state(name, value, alerts)}
        for name, value, detail in shown(numbers)
    ]
    now = datetime.now(UTC).strftime("%F %T UTC")
    return render_template("flagstone/ops.html", tiles=tiles, alerts=alerts, now=now, nonce=csp_nonce())


@blueprint.after_request
def keep_to_oneself(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def is_known(login: Authorization | None) -> bool:
    """No hash: the password is random and long, and nobody here has another use for it (flagstone/config.py)."""
    if not login or login.type != "basic":
        return False
    given = f"{login.username}:{login.password}"
    return compare_digest(given.encode(), "{OPS_USER}:{OPS_PASSWORD}".format(**current_app.config).encode())


def look() -> tuple[dict[str, float], list[dict[str, Any]] | None]:
    """The numbers that there are, and the alerts, the worst first; None where Prometheus does not answer in time."""
    from gevent import Timeout  # of DNS, too, and of an answer that comes in drops

    try:
        with Timeout(LIMIT, TimeoutError("no answer in time")):
            series = ask("query", query=QUERY)["result"]
            alerts = [alert for alert in ask("alerts")["alerts"] if alert["labels"]["alertname"] != "Watchdog"]
    except (OSError, HTTPException, ValueError) as error:
        logger.warning("Prometheus does not answer: %s", error)
        return {}, None
    numbers = {each["metric"]["number"]: float(each["value"][1]) for each in series}
    alerts.sort(key=lambda alert: (alert["state"] != "firing", alert["labels"]["severity"] != "critical"))
    return {name: number for name, number in numbers.items() if not isnan(number)}, alerts


def ask(path: str, **parameters: str) -> Any:
    opener = build_opener(ProxyHandler({}))
    with opener.open(f"{PROMETHEUS}{path}?{urlencode(parameters)}", timeout=LIMIT) as answer:
        return json.load(answer)["data"]


def state(name: str, value: str | None, alerts: list[dict[str, Any]] | None) -> str:
    """critical, warning, pending (an alert that is about to fire), unknown or well."""
    for alert in alerts or []:
        if alert["labels"]["alertname"] in ALERTS[name]:
            return alert["labels"]["severity"] if alert["state"] == "firing" else "pending"
    return "unknown" if alerts is None or value is None else "well"


def shown(numbers: dict[str, float]) -> Iterator[tuple[str, str | None, str | None]]:
    """Name, value and what else there is to say of it; None for what nobody knows."""
    of = numbers.get
    started = os.environ.get("GUNICORN_STARTED")
    age = ago(time.time() - float(started)) if started else None
    yield "Site", {1: "answers", 0: "does not answer"}.get(of("site")), say("a visitor waits {}", took(of("visit")))
    rate = say("of {} requests a second; {} are under way", some(of("rate")), some(of("under way")))
    yield "Errors", part(of("errors")), rate
    yield "Latency", took(of("p99")), say("for 99 of 100 requests; {} for half of them", took(of("p50")))
    server = say("connections; the server has {} of {}", some(of("connections")), some(of("connections limit")))
    yield "Database", say("{} of {}", some(of("pool")), some(of("pool limit"))), server
    heard = say("wait for a worker, heard of {}; beat {}", ago(of("worker")), ago(of("beat")))
    yield "Queue", say("{} jobs", some(of("queue"))), heard
    room = say("of the processors; memory {}, disk {}", part(of("memory")), part(of("disk")))
    yield "Server", part(of("processor")), room
    yield "Release", current_app.config["RELEASE"], say("started {}", age)
    yield "Backup", ago(of("backup")), say("trial restore {}", ago(of("drill")) or "not yet")
    left = of("certificate")
    end = None if left is None else (datetime.now(UTC) + timedelta(seconds=left)).strftime("%F")
    yield "Certificate", say("{} left", span(left)), say("good until {}", end)
    yield "Monitoring", say("{} of {}", some(of("answers")), some(of("asked"))), "answer Prometheus"


def say(text: str, *parts: str | None) -> str | None:
    return None if None in parts else text.format(*parts)


def some(number: float | None) -> str | None:
    return None if number is None else f"{number:.2g}" if number < 10 else f"{number:,.0f}"


def part(number: float | None) -> str | None:
    return None if number is None else f"{number * 100:{'.2g' if number < 0.01 else '.0f'}}{SPACE}%"


def took(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds * 1000:.0f}{SPACE}ms" if seconds < 1 else f"{seconds:.1f}{SPACE}s"


def span(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f}{SPACE}{unit}"
    return f"{seconds:.0f}{SPACE}s"


def ago(seconds: float | None) -> str | None:
    return say("{} ago", span(seconds))
