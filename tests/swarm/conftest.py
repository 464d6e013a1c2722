"""Three machines with an engine each, which are a Swarm: containers that start containers.

The first one is the manager, and has the checkout, the registry and the data.
"""

import re
import socket
from dataclasses import dataclass

import pytest

from tests.conftest import copy_with_probe
from tests.images.container import Container, new_name
from tests.shell import docker, run
from tests.stack.conftest import DOMAIN, NO_AUTHORITY, TEST_ID, UNLIMITED
from tests.stack.site import Site
from tests.wait import until

NODES = ("node1", "node2", "node3")
DOCKERFILE = """
FROM {tests}
RUN apt-get update -q && apt-get install -qy --no-install-recommends docker.io docker-registry iptables
"""
ENGINE = ("dockerd", "--insecure-registry=node1:5000", "--no-new-privileges")
REGISTRY = 'version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/docker/registry}}\nhttp: {addr: ":5000"}'
SHARED = "/mnt/shared"
OWN = ("app", "nginx", "certbot", "backup")
SETTINGS = {
    "DOMAIN": DOMAIN,
    "ACME_SERVER": NO_AUTHORITY,
    "IMAGE_REGISTRY": f"node1:5000/{TEST_ID}",
    "SHARED_FOLDER": SHARED,
    "STACK_FILE": "tests/swarm/compose.yaml",
    "HTTP_PORT": "8080",
    "HTTPS_PORT": "8443",
    "APP_REPLICAS": "3",
    "WORKER_REPLICAS": "1",
    "GUNICORN_PROCESSES": "1",
    **UNLIMITED,
}


class Node(Container):
    def run(self, script, timeout=600, **environment):
        options = [f"--env={name}={value}" for name, value in environment.items()]
        call = ("docker", "exec", *options, self.name, "sh", "-euc", f"cd /srv/shop; {script}")
        return run(*call, check=False, timeout=timeout)

    def sh(self, script, **options):
        result = self.run(script, **options)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout.strip()


@dataclass
class Edge:
    """What tests/releases/load.py visits: a site, and the database behind it."""

    site: Site
    sql: callable


class Swarm:
    def __init__(self, nodes, network, project):
        self.nodes, self.network, self.project = nodes, network, project
        self.visitor = socket.gethostname()
        self.manager = nodes[0]
        self.edges = [Edge(Site(node.name, 8443, DOMAIN, tls=True), self.sql) for node in nodes]
        self.plain = [Site(node.name, 8080, DOMAIN) for node in nodes]

    def sql(self, statement):
        database = f"$(docker ps --quiet --filter name={self.project}_db)"
        return self.manager.sh(f"""docker exec {database} psql -U postgres -d app -Atc "{statement}" """)

    def image(self, release):
        return f"node1:5000/{TEST_ID}/{self.project}-app:{release}"

    def deploy(self, release):
        """The finished process of a person's `make stack-deploy`."""
        return self.manager.run(f"make stack-deploy RELEASE={release}")

    def released(self, release):
        result = self.deploy(release)
        assert result.returncode == 0, result.stdout + result.stderr
        return {
            name: float(seconds) for name, seconds in re.findall(r"^(\w+) +([\d.]+) s$", result.stdout, re.MULTILINE)
        }

    def change(self, release, file, script):
        """The image of a release that differs from the first one in a file of app/, in the registry."""
        self.manager.sh(f"""
            id=$(docker create {self.image("r1")})
            mkdir -p $(dirname /tmp/{file}) && if [ -e {file} ]; then cp {file} /tmp/{file}; fi
            (cd $(dirname /tmp/{file}) && file=$(basename {file}) && {script})
            docker cp --quiet /tmp/{file} $id:/srv/{file}
            docker commit $id {self.image(release)} && docker rm $id
            docker push --quiet {self.image(release)}
        """)

    def tasks(self, service, state="running"):
        """The nodes on which one should run."""
        listed = f"docker service ps --filter desired-state={state} --format '{{{{.Node}}}}' {self.project}_{service}"
        return self.manager.sh(listed).split()

    def memory(self):
        """Bytes that the processes of each node have, those in its containers included."""
        sizes = (
            "cat /proc/[0-9]*/smaps_rollup 2>/dev/null | awk '/^Pss:/ { sum += $2 } END { printf \"%d\", sum * 1024 }'"
        )
        return {name: int(node.sh(sizes)) for name, node in zip(NODES, self.nodes, strict=True)}

    def serving(self):
        return {edge.site.get("/health").json["release"] for edge in self.edges for _ in range(6)}


def start(network, image, shared):
    nodes = []
    for name in NODES:
        node = Node(new_name())
        where = (f"--network={network}", f"--network-alias={name}", f"--hostname={name}", f"--volume={shared}:{SHARED}")
        options = ("--detach", "--privileged", "--user=0", "--volume=/var/lib/docker")
        docker("run", f"--name={node.name}", *options, *where, image, *ENGINE)
        nodes.append(node)
    for node in nodes:
        node.exec("mkdir", "-p", "/srv/shop")
        until(lambda node=node: node.run("docker version").returncode == 0, what=node.logs)
    return nodes


def join(nodes):
    manager, *workers = nodes
    manager.sh("docker swarm init --advertise-addr eth0")
    token = manager.sh("docker swarm join-token --quiet worker")
    for node in workers:
        node.sh(f"docker swarm join --token {token} node1:2377")
    manager.sh(f"for node in {' '.join(NODES)}; do docker node update --label-add edge=yes $node; done")
    manager.sh("docker node update --label-add data=yes node1")


def fill(manager, folder, project):
    """The first release is built here, and pushed there."""
    env = folder / ".env"
    settings = {**SETTINGS, "PROJECT_NAME": project}
    kept = [line for line in env.read_text().splitlines() if line.partition("=")[0] not in settings]
    env.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in settings.items())]) + "\n")
    compose = ("compose", "--project-directory", str(folder), "--file", str(folder / "compose.prod.yaml"))
    built = {"RELEASE": "r1", "COMPOSE_PROJECT_NAME": project, "timeout": 600}
    docker(*compose, "build", "--quiet", *OWN, **built)
    listed = docker(*compose, "config", "--images", *OWN, **built).split()
    images = sorted({image for image in listed if image.startswith(SETTINGS["IMAGE_REGISTRY"])})
    try:
        load = (
            f"docker save {' '.join(images)} postgres:18 redis:8 | docker exec --interactive {manager.name} docker load"
        )
        run("sh", "-euc", load, timeout=600)
    finally:
        docker("rmi", *images)
    docker("cp", f"{folder}/.", f"{manager.name}:/srv/shop")
    serve = f"echo '{REGISTRY}' >/registry.yml; exec docker-registry serve /registry.yml"
    docker("exec", "--detach", manager.name, "sh", "-c", serve)
    until(lambda: manager.sh("curl --fail --silent --show-error http://node1:5000/v2/"))
    manager.sh(f"for image in {' '.join(images)}; do docker push --quiet $image; done")


@pytest.fixture(scope="session")
def swarm():
    project = "shop"
    network = shared = image = new_name()
    tests = docker("inspect", "--format={{.Config.Image}}", socket.gethostname())
    docker("build", "--quiet", f"--tag={image}", "-", stdin=DOCKERFILE.format(tests=tests), timeout=600)
    docker("network", "create", network)
    docker("volume", "create", shared)
    nodes = []
    try:
        docker("network", "connect", network, socket.gethostname())
        nodes = start(network, image, shared)
        nodes[0].sh(f"""
            install -d -o 10001 -g 10001 {SHARED}/uploads
            install -d -o 101 -g 101 {SHARED}/letsencrypt {SHARED}/acme
        """)
        join(nodes)
        fill(nodes[0], copy_with_probe("swarm"), project)
        swarm = Swarm(nodes, network, project)
        print(swarm.released("r1"))
        yield swarm
    finally:
        for container in docker("ps", "--all", "--quiet", f"--filter=volume={shared}").split():
            docker("rm", "--force", "--volumes", container)
        run("docker", "network", "disconnect", "--force", network, socket.gethostname(), check=False)
        docker("network", "rm", network)
        docker("volume", "rm", shared)
        docker("rmi", image)
