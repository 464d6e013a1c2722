"""A container that is recreated, killed or restarted comes back, and the site with it."""

import pytest

from tests.shell import docker
from tests.wait import until


def web_address(stack, service):
    return stack.inspect(service)["NetworkSettings"]["Networks"][f"{stack.project}_web"]["IPAddress"]


def test_a_recreated_app_is_found_at_its_new_address(stack):
    """nginx asks DNS again: a plain proxy_pass would answer 502 until somebody reloads it."""
    old, nginx = web_address(stack, "app"), stack.inspect("nginx")["State"]["StartedAt"]
    stack.compose("rm", "--stop", "--force", "app")
    squatter = f"{stack.project}-squatter"  # takes the old address, so that the app must come back at another
    docker("run", "--detach", "--name", squatter, "--network", f"{stack.project}_web", "redis:8")
    try:
        stack.compose("up", "--detach", "--wait", "app")
        assert web_address(stack, "app") != old
        until(lambda: stack.site.get("/").status == 200, within=10)
        assert stack.inspect("nginx")["State"]["StartedAt"] == nginx
    finally:
        docker("rm", "--force", "--volumes", squatter)


@pytest.mark.parametrize("service", ["app", "nginx", "redis", "db", "certbot"])
def test_a_killed_container_comes_back_by_itself(prod, service):
    kept = prod.site.post_json("/api/notes", {"title": f"before {service} was killed"}).json["id"]
    container = prod.inspect(service)
    docker("kill", container["Id"])
    until(lambda: prod.inspect(service)["State"]["StartedAt"] != container["State"]["StartedAt"], within=20)
    prod.await_healthy(service)
    until(lambda: prod.site.get("/health").json["status"] == "ok", within=40)
    assert prod.site.get(f"/api/notes/{kept}").status == 200


def test_a_restart_of_everything_at_once_comes_back(prod):
    prod.compose("restart", "--timeout", "10")
    prod.await_healthy("nginx", "app", "db", "redis", "certbot")
    until(lambda: prod.site.get("/health").json["status"] == "ok", within=40)


def test_a_second_up_changes_nothing(stack):
    before = {service: stack.container(service) for service in stack.services()}
    stack.compose("up", "--detach", "--wait")
    assert {service: stack.container(service) for service in stack.services()} == before
