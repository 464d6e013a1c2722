"""Each alert fires when it should and not otherwise, by promtool; and has its heading in docs/runbook.md."""

import re
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.images.container import new_name
from tests.shell import docker, run

RULES = [
    rule for group in yaml.safe_load(Path("monitoring/alerts.yml").read_text())["groups"] for rule in group["rules"]
]
EXPIRY = 'probe_ssl_earliest_cert_expiry{job="site"}'
ERRORS, ALL = (f'flask_http_request_duration_seconds_count{{status="{status}"}}' for status in (500, 200))
BUCKETS = [f'flask_http_request_duration_seconds_bucket{{le="{le}"}}' for le in ("1", "4", "+Inf")]
WORKER, BEAT = (f'celery_heartbeat_timestamp_seconds{{process="{name}"}}' for name in ("worker", "beat"))
SIZE, FREE = "node_filesystem_size_bytes", "node_filesystem_avail_bytes"
SLOT = 'pg_replication_slots_pg_wal_lsn_diff{slot_name="backup"}'
OOM, DRILL = 'redis_errors_total{err="OOM"}', 'backup_failures{exported_job="drill"}'
DRILLED = 'backup_last_success_timestamp_seconds{exported_job="drill"}'
CONNECTIONS, CONNECTIONS_MAX = 'pg_stat_activity_count{state="active"}', "pg_settings_max_connections"
SYNC, ERROR, OFFSET = "node_timex_sync_status", "node_timex_maxerror_seconds", "node_timex_offset_seconds"
FAILED = 'alertmanager_notifications_failed_total{integration="email", receiver_name="people"}'
STARTED = 'process_start_time_seconds{job="alertmanager"}'


def always(value):
    return f"{value}x99"


def disk(full):
    return {SIZE: always(100), FREE: always(100 - full)}


# Alert: the minute that is looked at; series with which it fires then; series with which it does not.
CASES = {
    "SiteDown": (3, {'probe_success{job="site"}': "0x9"}, {'probe_success{job="site"}': "1x9"}),
    "RedirectBroken": (15, {'probe_success{job="redirect"}': "0x20"}, {'probe_success{job="site"}': "0x20"}),
    "AppDown": (3, {'up{job="app"}': "0x9"}, {'up{job="db"}': "0x9"}),
    "ErrorRateHigh": (9, {ERRORS: "0+6x9", ALL: "0+60x9"}, {ERRORS: "0+6x9", ALL: "0+600x9"}),
    "ErrorRateHigh, of one error in the night": (9, {ERRORS: "0+6x9"}, {ERRORS: "0 0 0 0 0 1 1 1 1 1"}),
    "LatencyHigh": (
        25,
        dict(zip(BUCKETS, ("0+90x30", "0+100x30", "0+100x30"), strict=True)),
        dict(zip(BUCKETS, ("0+100x30", "0+100x30", "0+100x30"), strict=True)),
    ),
    "CertificateExpires": (15, {EXPIRY: always(13 * 86400)}, {EXPIRY: always(15 * 86400)}),
    "CertificateExpires, which lives for six days": (
        15,
        {EXPIRY: always(86400), "certbot_short_lived": "1x20"},
        {EXPIRY: always(3 * 86400), "certbot_short_lived": "1x20"},
    ),
    "CertificateRenewalFails": (1, {"certbot_failures": "3x3"}, {"certbot_failures": "2x3"}),
    "WorkerGone": (5, {WORKER: "0x9"}, {WORKER: "0+60x9"}),
    "BeatSilent": (5, {BEAT: "0x9"}, {BEAT: "0+60x9", WORKER: "0x9"}),
    "QueueGrows": (15, {"celery_queue_length": "501x20"}, {"celery_queue_length": "500x20"}),
    "DatabaseDown": (3, {"pg_up": "0x9"}, {"pg_up": "1x9"}),
    "DatabaseConnectionsHigh": (
        9,
        {CONNECTIONS: "61x9", 'pg_stat_activity_count{state="idle"}': "100x9", CONNECTIONS_MAX: "200x9"},
        {CONNECTIONS: "160x9", CONNECTIONS_MAX: "200x9"},
    ),
    "ReplicationSlotGrows": (15, {SLOT: "2e9x20"}, {SLOT: "1e9x20"}),
    "RedisDown": (3, {"redis_up": "0x9"}, {"redis_up": "1x9"}),
    "RedisEvicts": (20, {"redis_evicted_keys_total": "0+1x30"}, {"redis_evicted_keys_total": "9x30"}),
    "RedisRefusesWrites": (5, {OOM: "0 0 0 1 1 1 1"}, {OOM: "5x9", "redis_aof_last_write_status": "1x9"}),
    "RedisRefusesWrites, of which the disk is full": (
        5,
        {"redis_aof_last_write_status": "0x9"},
        {"redis_aof_last_write_status": "1x9"},
    ),
    "BackupLate": (15, {"backup_healthy": "0x20", DRILL: "0x20"}, {"backup_healthy": "1x20"}),
    "RestoreDrillFails": (3, {DRILL: "1x9"}, {DRILL: "0x9", DRILLED: "0x9"}),
    "RestoreDrillFails, or was long ago": (3, {DRILLED: f"{-21 * 86400}x9"}, {DRILLED: f"{-20 * 86400}x9"}),
    "DiskFilling": (15, disk(81), disk(80)),
    "DiskAlmostFull": (5, disk(91), disk(90)),
    "DiskFullSoon": (90, {SIZE: "100x99", FREE: "70-0.4x99"}, {SIZE: "100x99", FREE: "70-0.1x99"}),
    "MemoryLow": (
        9,
        {"node_memory_MemAvailable_bytes": "9x9", "node_memory_MemTotal_bytes": "100x9"},
        {"node_memory_MemAvailable_bytes": "10x9", "node_memory_MemTotal_bytes": "100x9"},
    ),
    "KilledForMemory": (5, {"node_vmstat_oom_kill": "7 7 7 8 8 8 8"}, {"node_vmstat_oom_kill": "8x9"}),
    "Restarts": (9, {STARTED: "1 1 2 2 3 3 4 4 4 4 4"}, {STARTED: "1 1 2 2 3 3 3 3 3 3 3"}),
    "ClockOff": (15, {SYNC: "0x20", ERROR: "16x20"}, {SYNC: "1x20", ERROR: "16x20", OFFSET: "0.4x20"}),
    "ClockOff, though something sets it": (15, {SYNC: "1x20", OFFSET: "-0.6x20"}, {SYNC: "0x20", ERROR: "15x20"}),
    "TargetDown": (9, {'up{job="db"}': "0x9"}, {'up{job="app"}': "0x9"}),
    "AlertsNotDelivered": (5, {FAILED: "0 0 0 1 1 1 1"}, {FAILED: "1x9"}),
    "Watchdog": (5, {FAILED: "1x9"}, {FAILED: "0 0 0 1 1 1 1"}),
    "Watchdog, which does not stop because of itself": (
        5,
        {'alertmanager_notifications_failed_total{receiver_name="heartbeat"}': "0 0 0 1 1 1"},
        {FAILED: "0 0 0 1 1 1 1"},
    ),
}  # fmt: skip


def promtool(*arguments, files):
    """In the image of Prometheus; `files` are {name: text} beside the rules."""
    (image,) = re.findall(r"image: (prom/prometheus:.*)", Path("compose.prod.yaml").read_text())
    name = new_name()
    docker("create", f"--name={name}", "--network=none", "--workdir=/tmp", "--entrypoint=promtool", image, *arguments)
    try:
        for file, text in files.items():
            Path(file).write_text(text)
            docker("cp", file, f"{name}:/tmp/{Path(file).name}")
        return run("docker", "start", "--attach", name, check=False)
    finally:
        docker("rm", "--force", "--volumes", name)


def group(alert, minute, series, fires):
    query = f'count(ALERTS{{alertname="{alert.split(",")[0]}", alertstate="firing"}})'
    return {
        "name": f"{alert} {'fires' if fires else 'does not'}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": query, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": 1}] if fires else []}
        ],
    }


def test_each_alert_fires_when_it_should_and_not_otherwise(tmp_path):
    groups = [
        group(alert, minute, series, fires)
        for alert, (minute, *both) in CASES.items()
        for series, fires in zip(both, (True, False), strict=True)
    ]
    tests = {"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": groups}
    rules = Path("monitoring/alerts.yml").read_text()
    files = {str(tmp_path / "alerts.yml"): rules, str(tmp_path / "tests.yml"): yaml.safe_dump(tests)}
    result = promtool("test", "rules", "tests.yml", files=files)
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_alert_has_such_a_case():
    assert {alert.split(",")[0] for alert in CASES} == {rule["alert"] for rule in RULES}


def test_prometheus_can_read_its_configuration(tmp_path):
    files = {str(tmp_path / name): Path("monitoring", name).read_text() for name in ("prometheus.yml", "alerts.yml")}
    files[str(tmp_path / "prometheus.yml")] = files[str(tmp_path / "prometheus.yml")].replace(
        "/etc/monitoring/", "/tmp/"
    )
    result = promtool("check", "config", "prometheus.yml", files=files)
    assert result.returncode == 0, result.stdout + result.stderr


def headings():
    """Of the runbook, each with what stands below it."""
    return dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", (ROOT / "docs/runbook.md").read_text(), re.M | re.S))


def test_each_alert_has_its_heading_in_the_runbook_and_each_heading_its_alert():
    assert sorted(headings()) == sorted(rule["alert"] for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_what_happened_and_what_to_do(rule):
    assert rule["labels"]["severity"] in ("critical", "warning", "none")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
    assert headings()[rule["alert"]].startswith("```sh\n")
