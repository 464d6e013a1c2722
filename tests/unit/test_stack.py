"""`make stack`: what becomes of compose.prod.yaml on Docker Swarm, and what is refused there."""

import json
import os
import random
from pathlib import Path

import pytest

from swarm import stack
from tests.shell import run

FILES = ("compose.prod.yaml", "swarm/compose.yaml")
SETTINGS = {
    "DOMAIN": "example.test",
    "SHARED_FOLDER": "/mnt/shared",
    "RELEASE": "r1",
    "IMAGE_REGISTRY": "hub.test/shop",
}
EXAMPLES = Path(".env.example").read_text() + Path("app/.env.example").read_text()


def composed(*files, profiles="", **settings):
    """What Compose makes of them, in a process of its own."""
    words = [word for file in files for word in ("--file", file)]
    command = ("docker", "compose", "--env-file", "/dev/null", *words, "config", "--format", "json")
    return run(*command, COMPOSE_PROFILES=profiles, **{**SETTINGS, **settings}).stdout


@pytest.fixture(scope="module")
def config():
    return json.loads(composed(*FILES))


def pin(image):
    return f"{image}@sha256:0"


def derived(config, *only):
    return stack.Stack(config, pin).derive(only)


def changed(config, service, **keys):
    """With these keys of a service."""
    services = config["services"]
    return {**config, "services": {**services, service: {**services[service], **keys}}}


def test_every_key_of_the_production_file_is_kept_mapped_or_dropped_for_a_reason():
    services = json.loads(composed("compose.prod.yaml", profiles="*"))["services"].values()
    used = {key for service in services for key, value in service.items() if value is not None}
    known = (stack.KEPT, stack.MAPPED, {*stack.DROPPED})
    assert used <= set().union(*known)
    assert sum(map(len, known)) == len(set().union(*known)), "each is in one of them"
    assert {*stack.DROPPED} <= used
    assert all(stack.DROPPED.values())


def test_what_is_kept_is_as_it_was(config):
    services = derived(config)["services"]
    assert services.keys() == config["services"].keys()
    for name, service in services.items():
        for key in stack.KEPT & config["services"][name].keys():
            assert service.get(key) == config["services"][name][key], (name, key)
        limits = service["deploy"]["resources"]["limits"]
        assert limits == config["services"][name]["deploy"]["resources"]["limits"]


def test_swarm_takes_all_of_it_and_ignores_nothing(config, tmp_path):
    file = tmp_path / "stack.yaml"
    file.write_text(json.dumps(derived(config)))
    said = run("docker", "stack", "config", "--compose-file", str(file))
    assert said.stderr == ""
    assert "start_interval: 1s" in said.stdout


def test_a_second_run_writes_the_same_whatever_the_order(config):
    def shuffled(value):
        if not isinstance(value, dict):
            return value
        keys = random.sample([*value], len(value))
        return {key: shuffled(value[key]) for key in keys}

    def written(config):
        call = run("python3", str(Path(stack.__file__)), stdin=json.dumps(config), PATH="/usr/local/bin:/usr/bin:/bin")
        return call.stdout

    with_tags = json.loads(json.dumps(config).replace(":latest", ":r1"))
    assert written(with_tags) == written(shuffled(with_tags))


def test_a_secret_is_named_after_what_is_in_it(config, tmp_path):
    (file := tmp_path / "secret_key").write_text("one")
    own = {**config, "secrets": {**config["secrets"], "secret_key": {"file": str(file)}}}
    before = derived(own)["secrets"]
    file.write_text("two")
    after = derived(own)["secrets"]
    names = {name: (before[name]["name"], after[name]["name"]) for name in before}
    assert [name for name, (old, new) in names.items() if old != new] == ["secret_key"]
    assert all(len(name) <= 64 for pair in names.values() for name in pair)


def test_what_a_container_reads_in_the_checkout_goes_with_the_stack(config, tmp_path):
    (folder := tmp_path / "secrets").mkdir()
    (folder / "api_keys").touch()
    binds = [{"type": "bind", "source": str(folder / "api_keys"), "target": "/run/secrets/api_keys", "read_only": True}]
    new = derived(changed(config, "app", volumes=binds))
    targets = {mount["target"] for mount in new["services"]["db"]["configs"]}
    assert targets == {f"/docker-entrypoint-initdb.d/{file.name}" for file in Path("db").iterdir()}
    assert Path(new["secrets"]["api_keys"]["file"]).read_text() == "\n", "Swarm takes no empty one"
    assert {"source": "api_keys", "target": "/run/secrets/api_keys"} in new["services"]["app"]["secrets"]


def test_a_secret_that_nobody_set_is_none(config):
    assert "mail_password" not in derived(config)["secrets"]
    own = {"TLS_CERT_FILE": "VERSION", "TLS_KEY_FILE": "LICENSE"}
    served = derived(json.loads(composed(*FILES, **own)))["services"]["nginx"]["secrets"]
    assert {secret["target"] for secret in served} == {"fullchain.pem", "privkey.pem"}


def test_memory_that_is_a_filesystem_keeps_its_bounds(config):
    services = derived(config)["services"]
    sizes = {mount["target"]: mount["tmpfs"]["size"] for mount in services["db"]["volumes"] if mount["type"] == "tmpfs"}
    assert sizes == {"/tmp": 16 << 20, "/dev/shm": 128 << 20}
    assert all("tmpfs" not in service for service in services.values())


def test_memory_that_has_an_owner_keeps_it(config):
    new = derived(config)
    assert {"type": "volume", "source": "nginx-run-nginx", "target": "/run/nginx"} in new["services"]["nginx"][
        "volumes"
    ]
    options = new["volumes"]["nginx-run-nginx"]["driver_opts"]
    assert options == {"type": "tmpfs", "device": "tmpfs", "o": "uid=101,gid=101,mode=0700,size=16m"}


def test_ports_are_those_of_each_edge_and_nothing_else_publishes(config):
    services = derived(config)["services"]
    assert {(port["mode"], port["published"]) for port in services["nginx"]["ports"]} == {("host", 80), ("host", 443)}
    assert not [name for name, service in services.items() if "ports" in service and name != "nginx"]
    assert {service["deploy"]["endpoint_mode"] for service in services.values()} == {"dnsrr"}


def test_what_passes_between_nodes_is_encrypted(config):
    networks = derived(config)["networks"]
    assert {name for name, network in networks.items() if "encrypted" in network.get("driver_opts", {})} == {
        "web",
        "data",
    }
    assert networks["data"]["internal"]


def test_the_application_believes_the_network_by_which_nginx_comes(config):
    new = derived(config)
    ((subnet,),) = [network.values() for network in new["networks"]["web"]["ipam"]["config"]]
    assert new["services"]["app"]["environment"]["TRUSTED_PROXIES"] == subnet
    assert "web" in new["services"]["nginx"]["networks"]


@pytest.mark.parametrize(
    ("setting", "url", "gone"),
    [
        ("DATABASE_URL", "postgresql://app@pg.example/app", {"db", "backup"}),
        ("REDIS_URL", "rediss://r.example", {"redis"}),
    ],
)
def test_what_is_managed_elsewhere_is_not_in_the_stack(config, setting, url, gone):
    new = derived(json.loads(composed(*FILES, **{setting: url})))
    assert config["services"].keys() - new["services"].keys() == gone


def test_an_image_has_the_digest_of_its_registry(tmp_path, monkeypatch):
    (tmp_path / "docker").write_text(
        """#!/bin/sh\necho '["hub.test:5000/other@sha256:1", "hub.test:5000/shop-nginx@sha256:2"]'\n"""
    )
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert stack.pinned("hub.test:5000/shop-nginx:latest") == "hub.test:5000/shop-nginx:latest@sha256:2"
    with pytest.raises(stack.StackError, match="not in a registry"):
        stack.pinned("shop-nginx:latest")


@pytest.mark.parametrize(
    ("service", "keys", "said"),
    [
        ("app", {"privileged": True}, "app has privileged"),
        ("app", {"security_opt": ["seccomp:unconfined"]}, "Swarm cannot give"),
        ("nginx", {"ports": [{"target": 8080, "published": "80", "host_ip": "127.0.0.1"}]}, "host_ip"),
        ("db", {"volumes": [{"type": "bind", "source": "/srv", "target": "/srv"}]}, "let it have a volume"),
        ("app", {"networks": {"web": {"aliases": ["shop"]}}}, "aliases"),
    ],
)
def test_what_swarm_has_not_is_refused(config, service, keys, said):
    with pytest.raises(stack.StackError, match=said):
        derived(changed(config, service, **keys))


def test_files_that_would_stay_on_one_node_are_refused():
    refused = run(
        "docker",
        "compose",
        *(word for file in FILES for word in ("--file", file)),
        "config",
        check=False,
        SHARED_FOLDER="",
    )
    assert refused.returncode != 0
    assert "Uploads and certificates would stay on the node" in refused.stderr


def test_jobs_run_once_and_everything_else_again(config):
    services = derived(config)["services"]
    once = {name for name, service in services.items() if service["deploy"]["restart_policy"]["condition"] == "none"}
    assert once == {name for name, service in services.items() if "job" in service["deploy"].get("mode", "")}
    assert once == {"migrate", "static"}


def test_a_release_of_the_application_starts_before_the_former_one_stops_and_is_rolled_back(config):
    services = derived(config)["services"]
    for name in ("app", "worker"):
        update = services[name]["deploy"]["update_config"]
        assert (update["order"], update["failure_action"], update["parallelism"]) == ("start-first", "rollback", 1)
    for name in ("beat", "db", "redis", "nginx"):
        assert services[name]["deploy"]["update_config"]["order"] == "stop-first", "never two of them at once"
