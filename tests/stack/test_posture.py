"""What Docker really runs, read from `docker inspect`: least privilege, limits, and no open door."""

import json
import re
from pathlib import Path

import pytest

from flagstone.config import BaseConfig
from tests.shell import docker, run
from tests.wait import until

UIDS = {"nginx": 101, "app": 10001, "migrate": 10001, "worker": 10001, "beat": 10001}
UIDS |= {"db": 999, "redis": 999, "certbot": 101, "static": 10001, "backup": 999}
ONCE = {"migrate", "static"}
PUBLISHED = {"dev": {"8080/tcp"}, "prod": {"8080/tcp", "8443/tcp", "8443/udp"}}
NETWORKS = {
    "nginx": {"edge"},
    "app": {"web", "data"},
    "migrate": {"web", "data"},
    "worker": {"web", "data"},
    "beat": {"web", "data"},
    "db": {"data"},
    "redis": {"data"},
    "certbot": {"edge"},
    "static": {"none"},
    "backup": {"web", "data"},
}


SERVER_ONLY = {"certbot", "static", "backup"}
EACH = [("dev", name) for name in UIDS if name not in SERVER_ONLY] + [("prod", name) for name in UIDS]


@pytest.fixture(params=EACH, ids="-".join)
def pair(request):
    """A stack, and one of its services."""
    return request.getfixturevalue(request.param[0]), request.param[1]


def test_every_service_is_known_here(stack):
    assert set(stack.services()) == {name for stack_name, name in EACH if stack_name == stack.name}


FILES = {"dev": "compose.yaml", "prod": "compose.prod.yaml"}


def config(file, *arguments, profiles=""):
    """What Compose makes of a file where nobody has set anything up, and these profiles are named."""
    command = ("docker", "compose", "--env-file", "/dev/null", "--file", file, "config", *arguments)
    return run(*command, COMPOSE_PROFILES=profiles, DOMAIN="example.test").stdout


@pytest.mark.parametrize("profiles", ["", "dev", "prod", "dev,prod", "none"])
@pytest.mark.parametrize("name", FILES)
def test_all_that_a_site_needs_starts_whichever_profiles_are_named(name, profiles):
    started = set(config(FILES[name], "--services", profiles=profiles).split())
    assert started == {service for stack_name, service in EACH if stack_name == name}


def test_a_profile_is_the_same_part_of_development_and_of_production():
    services = {
        name: json.loads(config(file, "--format=json", profiles="*"))["services"] for name, file in FILES.items()
    }
    parts = {name: {part: of.get("profiles") for part, of in each.items()} for name, each in services.items()}
    both = parts["dev"].keys() & parts["prod"].keys()
    assert {part: parts["dev"][part] for part in both} == {part: parts["prod"][part] for part in both}
    assert [part for part, profiles in parts["dev"].items() if profiles] == ["tests"]


def test_it_is_confined(pair):
    stack, service = pair
    container = stack.inspect(service)
    host = container["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] > 0
    assert 0 < host["PidsLimit"] <= 256
    assert int(host["LogConfig"]["Config"]["max-file"]) > 1
    assert host["LogConfig"]["Config"]["max-size"]
    assert not any("docker.sock" in mount["Source"] for mount in container["Mounts"])


def test_no_tmpfs_of_it_can_fill_its_memory(pair):
    stack, service = pair
    for path, options in (stack.inspect(service)["HostConfig"].get("Tmpfs", {}) or {}).items():
        assert "size=" in options or "ro" in options.split(","), path


def test_it_restarts_and_stops_in_order(pair):
    stack, service = pair
    container = stack.inspect(service)
    assert container["HostConfig"]["RestartPolicy"]["Name"] == ("no" if service in ONCE else "unless-stopped")
    assert container["Config"]["StopSignal"]
    if service not in ONCE:
        assert container["Config"]["Healthcheck"]["Test"][0] in ("CMD", "CMD-SHELL")


def test_containers_have_longer_to_stop_than_their_drain_takes(stack):
    graceful = int(
        re.search(r"^graceful_timeout = (\d+)", Path("flagstone/gunicorn.conf.py").read_text(), re.MULTILINE)[1]
    )
    drain = int(re.search(r"worker_shutdown_timeout (\d+)s", Path("nginx/nginx.conf").read_text())[1])
    assert stack.inspect("app")["Config"]["StopTimeout"] > graceful
    assert stack.inspect("worker")["Config"]["StopTimeout"] > BaseConfig.TASK_TIME_LIMIT
    assert stack.inspect("nginx")["Config"]["StopTimeout"] > drain > graceful


def await_no_right(stack, service, uid):
    """Every process of it has this uid, and no capability."""

    def seen():
        status = stack.exec(service, "sh", "-c", "cat /proc/[0-9]*/status 2>/dev/null; true")
        uids = {line.split()[1] for line in status.splitlines() if line.startswith("Uid:")}
        capabilities = {line.split()[1] for line in status.splitlines() if line.startswith(("CapEff:", "CapPrm:"))}
        assert (uids, {int(mask, 16) for mask in capabilities}) == ({str(uid)}, {0})
        return True

    until(seen)  # what Docker starts for a health check has other ones, for a moment


def test_every_process_in_it_has_its_uid_and_no_capability(pair):
    stack, service = pair
    if service in ONCE:
        assert stack.inspect(service)["Config"]["User"].startswith(str(UIDS[service]))
        return
    await_no_right(stack, service, UIDS[service])


def test_it_can_not_write_where_its_code_lies(pair):
    stack, service = pair
    if service in ONCE:
        return
    tries = "for folder in /etc /usr /srv /opt; do touch $folder/x 2>/dev/null && echo $folder; done; true"
    assert stack.exec(service, "sh", "-c", tries) == ""


STARTS = {
    "app": ("-c", "import flagstone.wsgi"),
    "certbot": ("/opt/flagstone/renew.py", "--healthy"),
    "backup": ("/opt/flagstone/daemon.py", "--healthy"),
}


@pytest.mark.parametrize("service", STARTS)
def test_what_it_loads_is_compiled(prod, service):
    """As it can not write there, each start and each health check would compile it anew."""
    said = prod.try_exec(service, "python3", "-v", *STARTS[service]).stderr
    assert "\n# code object from '/" in said
    assert re.findall(r"^# code object from (/.*)", said, re.MULTILINE) == []


def test_it_is_on_its_networks_only(pair):
    stack, service = pair
    networks = stack.inspect(service)["NetworkSettings"]["Networks"]
    assert {name.removeprefix(f"{stack.project}_") for name in networks} == NETWORKS[service]


def test_only_nginx_publishes_ports(stack):
    for service in stack.services():
        ports = {port for port, bound in stack.inspect(service)["NetworkSettings"]["Ports"].items() if bound}
        assert ports == (PUBLISHED[stack.name] if service == "nginx" else set()), service


def test_development_is_published_on_loopback_only(dev):
    bound = dev.inspect("nginx")["NetworkSettings"]["Ports"]["8080/tcp"]
    assert {binding["HostIp"] for binding in bound} == {"127.0.0.1"}


def test_the_data_network_leads_nowhere(stack):
    assert docker("network", "inspect", "--format", "{{.Internal}}", f"{stack.project}_data") == "true"


def test_no_secret_is_in_an_image_an_environment_or_a_command_line(stack):
    names = ("secret_key", "secret_key_former", "postgres_password", "redis_password", "ops_password")
    secrets = stack.exec("app", "sh", "-c", f"cd /run/secrets && tail -n +1 {' '.join(names)}")
    secrets = re.findall(r"^==> (?:.+) <==\n(.+)$", secrets, re.MULTILINE)
    assert len(secrets) == len(names)
    seen, images, services = [], set(), stack.services()
    for service in services:
        container = stack.inspect(service)
        seen.append(json.dumps(container))
        images.add(container["Image"])
        seen += [docker("top", container["Id"], "-eo", "pid,args")] if container["State"]["Running"] else []
        seen += [stack.said(service)]
    seen += [docker("history", "--no-trunc", image) for image in images]
    for secret in secrets:
        assert len(secret) >= 32
        assert not any(secret in text for text in seen)
    for service in set(services) - ONCE:

        def shown(service=service):
            environments = stack.exec(service, "sh", "-c", "cat /proc/[0-9]*/environ 2>/dev/null; true")
            return [secret for secret in secrets if secret in environments]

        until(lambda: not shown(), what=service)  # the health check of Redis has one, for a moment
