"""Each panel of Grafana's dashboards shows something: its expression, asked of the Prometheus that it would ask."""

import json
from math import isnan
from pathlib import Path

import pytest

from tests.wait import until

DASHBOARDS = [json.loads(file.read_text()) for file in sorted(Path("monitoring/grafana/dashboards").glob("*.json"))]
EXPRESSIONS = [
    pytest.param(target["expr"], id=f"{dashboard['title']}: {panel['title']} {target['refId']}")
    for dashboard in DASHBOARDS
    for panel in dashboard["panels"]
    for target in panel.get("targets", [])
]
EXPRESSIONS += [
    pytest.param(annotation["expr"], id=f"{dashboard['title']}: {annotation['name']}")
    for dashboard in DASHBOARDS
    for annotation in dashboard["annotations"]["list"]
]


@pytest.fixture(scope="module")
def visited(monitored):
    """The stack, after requests that went well and some that did not: there are series only of what happened."""
    for path in ("/", "/api/items", "/absent", "/boom") * 3:
        monitored.site.get(path)
    return monitored


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_panel_has_series(visited, expression):
    """With $__rate_interval as Grafana would set it, where Prometheus asks each 15 seconds."""

    def values():
        visited.site.get("/boom")  # of a counter that stands still there is no quantile
        return [value for _, value in visited.query(expression.replace("$__rate_interval", "1m")) if not isnan(value)]

    until(values, what=expression)


def test_releases_are_named(visited):
    ((labels, value),) = until(lambda: visited.query("app_start_time_seconds * 1000"))
    assert labels["release"] == "latest"
    assert value > 1e12, "milliseconds"
