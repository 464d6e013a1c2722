"""What the tests rely on in their own container, of which the suite in tests/Dockerfile decides."""

import re
import sys
from pathlib import Path

from tests.images.container import version
from tests.shell import docker, run


def numbers(text):
    return tuple(map(int, re.search(r"\d+(\.\d+)+", text)[0].split(".")))


def test_the_unit_tests_run_on_the_python_of_the_images():
    assert "{}.{}".format(*sys.version_info) == version("python")


def test_the_acme_server_knows_profiles():
    assert numbers(run("dpkg-query", "--show", "pebble").stdout) >= (2, 7)


def test_curl_speaks_every_version_of_http():
    assert {"HTTP2", "HTTP3"} <= set(run("curl", "--version").stdout.split())


def test_compose_is_as_new_as_setup_wants_it():
    wanted = re.search(r"^COMPOSE_AT_LEAST=(\S+)", Path("scripts/setup.sh").read_text(), re.MULTILINE)[1]
    assert numbers(docker("compose", "version", "--short")) >= numbers(wanted)
