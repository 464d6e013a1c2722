"""What all base images have in common."""

import pytest

from tests.images.container import settings, shell

each = pytest.mark.parametrize("name", ["python", "nginx", "postgres", "redis"])


@each
def test_sh_is_dash_and_the_tools_are_gnu(name):
    assert shell(name, "readlink -f /bin/sh").endswith("/dash")
    tools = "date find grep install mv sed sort"
    assert shell(name, f"for tool in {tools}; do $tool --version | head -n1; done").count("GNU") == len(tools.split())


@each
def test_a_stand_in_says_so_by_its_label_and_in_its_environment(name):
    suite = (settings(name)["Labels"] or {}).get("flagstone.offline")
    said = [line for line in settings(name)["Env"] if line.startswith("FLAGSTONE_OFFLINE=")]
    assert said == ([f"FLAGSTONE_OFFLINE={suite}"] if suite else [])
