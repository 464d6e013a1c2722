"""What the profile `monitoring` relies on in each of its images."""

import pytest

from tests.images.container import once, settings, shell, tools, version

BINARIES = {
    "prometheus": "/bin/prometheus",
    "alertmanager": "/bin/alertmanager",
    "node-exporter": "/bin/node_exporter",
    "blackbox-exporter": "/bin/blackbox_exporter",
    "postgres-exporter": "/bin/postgres_exporter",
    "redis_exporter": "/redis_exporter",
}
each = pytest.mark.parametrize("name", BINARIES)


@each
def test_a_container_is_its_binary_for_a_user_without_rights(name):
    assert settings(name)["Entrypoint"] == [BINARIES[name]]
    assert settings(name)["User"] not in ("", "root", "0")


@each
def test_it_is_of_the_tags_minor_version(name):
    code, said = once(name, "--version", options=("--user=65534:65534",))
    assert code == 0
    assert version(name).rpartition(".")[0] + "." in said


@each
def test_it_has_a_shell_and_the_wget_of_its_health_check(name):
    assert tools(name, "sh", "sed", "tr", "wget") == ["sh", "sed", "tr", "wget"]
    assert "-Y" in shell(name, "wget --help 2>&1 || true")


@pytest.mark.parametrize(("name", "folder"), [("prometheus", "/prometheus"), ("alertmanager", "/alertmanager")])
def test_a_new_volume_belongs_to_it(name, folder):
    assert shell(name, f"stat -c %u {folder}") == "65534"


def test_promtool_and_amtool_are_there():
    assert tools("prometheus", "promtool") == ["promtool"]
    assert tools("alertmanager", "amtool") == ["amtool"]
