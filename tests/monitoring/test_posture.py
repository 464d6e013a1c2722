"""The containers of the profile are as confined as all others, and open no door."""

import pytest

from tests.shell import docker
from tests.stack import test_posture as posture

NETWORKS = {
    "prometheus": {"data"},
    "alertmanager": {"web", "data"},
    "node-exporter": {"data"},
    "postgres-exporter": {"data"},
    "redis-exporter": {"data"},
    "blackbox-exporter": {"edge", "data"},
}
each = pytest.mark.parametrize("service", NETWORKS)


def test_the_profile_is_these_services(monitored):
    profile = set(posture.config("compose.prod.yaml", "--services", profiles="monitoring").split())
    assert profile - set(posture.config("compose.prod.yaml", "--services").split()) == {*NETWORKS}


@each
def test_it_is_as_confined_as_all_others(monitored, service):
    posture.test_it_is_confined((monitored, service))
    posture.test_no_tmpfs_of_it_can_fill_its_memory((monitored, service))
    posture.test_it_restarts_and_stops_in_order((monitored, service))
    posture.test_it_can_not_write_where_its_code_lies((monitored, service))


@each
def test_it_has_no_right_and_no_door(monitored, service):
    posture.await_no_right(monitored, service, 65534)
    settings = monitored.inspect(service)["NetworkSettings"]
    assert not any(settings["Ports"].values())
    assert {name.removeprefix(f"{monitored.project}_") for name in settings["Networks"]} == NETWORKS[service]


def test_no_password_is_in_an_environment_or_a_command_line(monitored):
    files = [monitored.folder / "secrets" / name for name in ("redis_password", "postgres_monitor_password")]
    passwords = [file.read_text().strip() for file in (*files, monitored.folder / "mail_password")]
    for service in NETWORKS:
        container = monitored.container(service)
        seen = docker("inspect", container) + docker("top", container, "-eo", "pid,args") + monitored.logs(service)
        assert not [password for password in passwords if password in seen], service


def test_none_of_them_shows_a_password_to_the_others(monitored):
    address = "http://alertmanager:9093/api/v2/status"
    shown = monitored.exec("prometheus", "wget", "-q", "-Y", "off", "-O", "-", address)
    assert "auth_password_file" in shown
    assert "hunter2" not in shown
