"""offline/build.sh says what it cannot do before it does anything, and finds its packages."""

import os

import pytest

from tests.shell import docker, run


@pytest.mark.parametrize(
    "image",
    ["mysql:8", "nginx", "someone/nginx:1.30", "redis:8-alpine", "base:forky", "lists:1", "nginx:1.30@sha256:0"],
)
def test_an_image_without_a_stand_in_is_named_with_what_there_is(image):
    refusal = run("offline/build.sh", "nginx:1.30", image, check=False)
    assert refusal.returncode == 1
    assert f"no stand-in for {image}." in refusal.stderr
    assert "python, nginx, postgres, redis" in refusal.stderr
    assert refusal.stdout == ""


def test_a_version_that_debian_does_not_have_is_not_built_under_its_name():
    if not docker("images", "--quiet", "flagstone-offline/base"):
        pytest.skip("the official images are in use: there is no local base")
    refusal = run("offline/build.sh", "nginx:1.99", check=False)
    assert refusal.returncode == 1
    assert "Version '1.99*' for 'nginx' was not found" in refusal.stderr
    assert docker("images", "--quiet", "nginx:1.99") == ""


@pytest.mark.parametrize("mirror", ["http://debian.test/debian", ""])
def test_packages_come_from_the_machines_own_mirror_or_where_it_has_none_from_debians(tmp_path, mirror):
    """The latter on Ubuntu. What is asked of the machine is answered by stubs in front of PATH."""
    answers = {
        "apt-get": f'[ "$1" != indextargets ] || echo "{mirror}"',
        "mmdebstrap": f'echo "$@" >{tmp_path}/asked',
        "docker": '[ "$1 $2" != "image inspect" ]',
        "sudo": '"$@"',
    }
    for name, answer in answers.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{answer}\n")
        (tmp_path / name).chmod(0o755)
    run("offline/build.sh", "nginx:1.30", PATH=f"{tmp_path}:{os.environ['PATH']}")
    _tar, *mirrors = (tmp_path / "asked").read_text().split(" forky ")[1].split()
    assert mirrors == [mirror] * bool(mirror)
