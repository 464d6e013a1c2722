"""offline/build.sh says what it cannot do, before it does anything."""

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
