"""/ops/: who may see it, and what it says. tests/monitoring/test_ops.py has it on a stack with Prometheus."""

import re
from base64 import b64encode
from pathlib import Path

import pytest
import yaml

from flagstone import ops
from flagstone.config import ConfigError

PASSWORD = "a-long-one-with-a-:-in-it"
GROUPS = yaml.safe_load(Path("monitoring/alerts.yml").read_text())["groups"]
ALERTS = {rule["alert"] for group in GROUPS for rule in group["rules"]}


def login(user, password, scheme="Basic"):
    return {"Authorization": f"{scheme} {b64encode(f'{user}:{password}'.encode()).decode()}"}


@pytest.fixture
def client(make_app):
    return make_app(OPS_USER="ops", OPS_PASSWORD=PASSWORD).test_client()


def test_without_a_user_there_is_no_such_page(make_app):
    client = make_app(OPS_PASSWORD=PASSWORD).test_client()
    for headers in ({}, login("ops", PASSWORD), login("", PASSWORD), login("None", PASSWORD)):
        assert client.get("/ops/", headers=headers).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        login("ops", "wrong"),
        login("ops", ""),
        login("ops", PASSWORD + "x"),
        login("op", PASSWORD),
        login("ops", PASSWORD, scheme="Bearer"),
        {"Authorization": "Basic"},
        {"Authorization": "Basic /////w=="},
        {"Authorization": "Basic !"},
        {"X-Forwarded-User": "ops", "Remote-User": "ops", "X-User": "ops"},
        {"Cookie": "ops=1; session=x"},
    ],
)
def test_whoever_has_no_password_gets_nothing(client, headers):
    answer = client.get("/ops/", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Prometheus" not in answer.text


def test_whoever_has_it_sees_the_page_which_nobody_keeps(client, monkeypatch):
    monkeypatch.setattr(ops, "look", lambda: ({}, None))
    answer = client.get("/ops/", headers=login("ops", PASSWORD))
    assert answer.status_code == 200
    assert "Prometheus does not answer" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Robots-Tag"] == "noindex"


@pytest.mark.parametrize(
    "settings",
    [{"OPS_USER": "ops"}, {"OPS_USER": "ops", "OPS_PASSWORD": "short"}, {"OPS_USER": "a:b", "OPS_PASSWORD": PASSWORD}],
)
def test_a_login_that_is_easy_or_impossible_is_refused(make_app, settings):
    with pytest.raises(ConfigError) as refused:
        make_app(**settings)
    assert [*refused.value.faults] == ["OPS_USER"]


def test_each_alert_concerns_one_of_its_tiles():
    shown = [alert for alerts in ops.ALERTS.values() for alert in alerts]
    assert sorted(shown) == sorted(ALERTS - {"Watchdog"})


def test_each_tile_is_shown(client):
    with client.application.app_context():
        assert [name for name, *_ in ops.shown({})] == [*ops.ALERTS]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 s"), (119, "119 s"), (150, "2 min"), (7200, "2 h"), (172799, "48 h"), (5184000, "60 d"), (-90000, "-25 h")],
)
def test_a_span_of_time_is_told_in_one_unit(number, text):
    assert ops.span(number) == text.replace(" ", ops.SPACE)


def test_numbers_are_short_and_what_is_not_known_is_not_told(monkeypatch):
    monkeypatch.setattr(ops, "SPACE", " ")
    assert [ops.part(value) for value in (0, 0.0004, 0.5, 1, None)] == ["0 %", "0.04 %", "50 %", "100 %", None]
    assert [ops.took(value) for value in (0.0123, 0.9, 12, None)] == ["12 ms", "900 ms", "12.0 s", None]
    assert [ops.some(value) for value in (0, 0.123, 9, 1234, None)] == ["0", "0.12", "9", "1,234", None]
    assert ops.say("{} of {}", "1", None) is None


def alert(name, severity="critical", state="firing"):
    return {"labels": {"alertname": name, "severity": severity}, "state": state}


@pytest.mark.parametrize(
    ("alerts", "value", "state"),
    [
        ([alert("SiteDown")], "answers", "critical"),
        ([alert("RedirectBroken", "warning")], "answers", "warning"),
        ([alert("SiteDown", state="pending")], "answers", "pending"),
        ([alert("DatabaseDown")], "answers", "well"),
        ([], "answers", "well"),
        ([], None, "unknown"),
        (None, "answers", "unknown"),
    ],
)
def test_a_tile_is_as_bad_as_the_alerts_that_concern_it(alerts, value, state):
    assert ops.state("Site", value, alerts) == state


def test_what_prometheus_says_is_text_on_the_page(client, monkeypatch):
    evil = alert("SiteDown") | {"annotations": {"summary": "<script>x</script>", "runbook_url": "#"}, "activeAt": "<b>"}
    monkeypatch.setattr(ops, "look", lambda: ({}, [evil]))
    page = client.get("/ops/", headers=login("ops", PASSWORD)).text
    assert not re.search("<script|<b>", page)
    assert "&lt;script&gt;" in page
