"""Grafana's dashboards by the models of its own SDK, and its service by Compose: no registry here has its image.

tests/monitoring/test_dashboards.py has what the panels show.
"""

import json
import re
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.shell import run
from tests.stack.test_posture import config

register_default_plugins()
GRAFANA = Path("monitoring/grafana")
DASHBOARDS = {file.stem: json.loads(file.read_text()) for file in (GRAFANA / "dashboards").glob("*.json")}
each = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


def lost(ours, known, path=""):
    """What a model has dropped, because it does not know it, or changed."""
    if isinstance(ours, dict) and isinstance(known, dict):
        return [fault for key, value in ours.items() for fault in lost(value, known.get(key), f"{path}.{key}")]
    if isinstance(ours, list) and isinstance(known, list) and len(ours) == len(known):
        pairs = zip(ours, known, strict=True)
        return [fault for number, pair in enumerate(pairs) for fault in lost(*pair, f"{path}[{number}]")]
    return [] if ours == known else [path]


def misfits(value, kind, path=""):
    """Where a value is not of the type that the model declares: it takes any."""
    origin, arguments = get_origin(kind), get_args(kind)
    if value is None or kind in (Any, object) or (kind is float and type(value) is int):
        return []
    if origin is Union:
        found = [misfits(value, option, path) for option in arguments]
        return [] if [] in found else found[0]
    if origin is Literal or issubclass(origin or kind, Enum):
        return [] if value in (arguments or [*kind]) else [path]
    if origin in (list, dict) and isinstance(value, origin):
        items = value.items() if origin is dict else enumerate(value)
        return [fault for key, item in items for fault in misfits(item, arguments[-1], f"{path}[{key}]")]
    if not isinstance(value, origin or kind):
        return [path]
    parts = get_type_hints(kind) if kind.__module__.startswith("grafana") else {}
    return [fault for name, hint in parts.items() for fault in misfits(getattr(value, name), hint, f"{path}.{name}")]


@each
def test_it_is_what_grafana_s_schema_knows(dashboard):
    model = Dashboard.from_json(dashboard)
    assert lost(dashboard, json.loads(JSONEncoder().encode(model))) == []
    assert misfits(model, Dashboard) == []


def test_what_the_schema_does_not_know_would_be_found():
    (dashboard, *_) = DASHBOARDS.values()
    broken = json.loads(json.dumps(dashboard))
    broken["panels"][1]["fieldConfig"]["defaults"]["units"] = "s"
    broken["panels"][1]["targets"][0]["expression"] = "up"
    model = Dashboard.from_json(broken)
    assert lost(broken, json.loads(JSONEncoder().encode(model))) == [
        ".panels[1].fieldConfig.defaults.units",
        ".panels[1].targets[0].expression",
    ]
    broken["panels"][1]["fieldConfig"]["defaults"]["unit"] = 5
    broken["graphTooltip"] = 7
    faults = misfits(Dashboard.from_json(broken), Dashboard)
    assert any("graph_tooltip" in fault for fault in faults)
    assert any("unit" in fault for fault in faults)


@each
def test_its_panels_have_numbers_of_their_own_and_do_not_overlap(dashboard):
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        x, y, width, height = (panel["gridPos"][side] for side in "xywh")
        place = {(column, row) for column in range(x, x + width) for row in range(y, y + height)}
        assert x + width <= 24
        assert not place & taken, panel["title"]
        taken |= place


def test_dashboards_ask_the_data_source_that_is_provisioned():
    (source,) = yaml.safe_load((GRAFANA / "datasources/prometheus.yml").read_text())["datasources"]
    scrape = yaml.safe_load(Path("monitoring/prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scrape, "or $__rate_interval is too short"
    asked = {"type": source["type"], "uid": source["uid"]}
    for dashboard in DASHBOARDS.values():
        askers = [panel for panel in dashboard["panels"] if panel["type"] != "row"] + dashboard["annotations"]["list"]
        assert all(asker["datasource"] == asked for asker in askers)
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)


def test_grafana_finds_them_where_compose_mounts_them():
    (provider,) = yaml.safe_load((GRAFANA / "dashboards/dashboards.yml").read_text())["providers"]
    service = json.loads(config("compose.prod.yaml", "--format=json", profiles="grafana"))["services"]["grafana"]
    provisioning = service["environment"]["GF_PATHS_PROVISIONING"]
    mounts = {mount["target"]: Path(mount.get("source", "")) for mount in service["volumes"]}
    assert mounts["/etc/monitoring"] / Path(provisioning).relative_to("/etc/monitoring") == GRAFANA.resolve()
    assert provider["options"]["path"] == f"{provisioning}/dashboards"


def test_its_service_is_as_confined_as_the_others_and_opens_no_door():
    """By the file: tests/monitoring/test_posture.py looks into those that run."""
    services = json.loads(config("compose.prod.yaml", "--format=json", profiles="monitoring,grafana"))["services"]
    grafana, sample = services["grafana"], services["redis-exporter"]
    for name in ("read_only", "cap_drop", "security_opt", "logging", "restart", "stop_signal", "networks"):
        assert grafana[name] == sample[name], name
    assert grafana["user"] == "472:0", "of its image"
    assert not grafana.get("ports")
    assert all("size=" in entry for entry in grafana["tmpfs"])
    assert {*grafana["deploy"]["resources"]["limits"]} == {"memory", "pids"}
    assert not [name for name, value in grafana["environment"].items() if "PASSWORD" in name and "/run/" not in value]


@pytest.mark.parametrize("profiles", ["", "monitoring"])
def test_whoever_does_not_ask_for_it_has_none_of_it(profiles):
    assert "grafana" not in config("compose.prod.yaml", "--services", profiles=profiles)
    assert "grafana" not in run("scripts/base-images.sh", COMPOSE_PROFILES=profiles).stdout
    asked = run("scripts/base-images.sh", COMPOSE_PROFILES=f"{profiles},grafana").stdout
    assert re.search(r"^grafana/grafana:\d+\.\d+\.\d+$", asked, re.M)
