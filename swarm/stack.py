"""What Compose makes of compose.prod.yaml and swarm/compose.yaml, as `docker stack deploy` reads it. JSON is YAML.

    docker compose config --format json | python3 swarm/stack.py [SERVICE...]

A key is kept, mapped, or dropped for a reason; one that nobody has thought of is an error. Secrets and configs are
named after what is in them, so that a changed one is another one; images have the digest that this machine knows.
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

KEPT = {"cap_drop", "command", "entrypoint", "environment", "healthcheck", "init", "labels", "logging", "read_only"}
KEPT |= {"stop_grace_period", "stop_signal", "user"}
MAPPED = {"deploy", "image", "network_mode", "networks", "ports", "restart", "secrets", "shm_size", "tmpfs", "volumes"}
DROPPED = {
    "build": "a node pulls what was built elsewhere",
    "cpu_shares": "Swarm has none: a node with the database and the application gives both the same",
    "depends_on": "swarm/stack.sh runs the migrations first; whatever else is away at a start is waited for",
    "profiles": "swarm/stack.sh asks for none: monitoring and restore know each container by its name",
    "pull_policy": "swarm/stack.sh pulls, and a digest is never another image",
    "security_opt": "Swarm has none; the engine of each node has the one that we use (server/daemon.json)",
}
OPTIONS = ["no-new-privileges:true"]  # that one
MANAGED = {  # a setting, the service that it names, and what is not here where that is elsewhere
    "DATABASE_URL": ("db", {"db", "backup"}),
    "REDIS_URL": ("redis", {"redis"}),
}
UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
NAME_MAX = 64  # of a secret or a config
EMPTY = Path(__file__).with_name("empty")  # a line end


class StackError(Exception):
    pass


def take(where, mapping, kept, dropped=()):
    """What of it is kept; an error, where there is more than what is known."""
    said = {key: value for key, value in (mapping or {}).items() if value not in (None, {})}
    unknown = said.keys() - {*kept} - {*dropped}
    if unknown:
        raise StackError(f"{where} has {', '.join(sorted(unknown))}, which swarm/stack.py does not know")
    return {key: said[key] for key in said if key in kept}


def size(text):
    number, unit = re.fullmatch(r"(\d+)([bkmg]?)", str(text).lower()).groups()
    return int(number) * UNITS[unit]


def pinned(image):
    """With the digest by which this machine pulled or pushed it."""
    inspect = ["docker", "image", "inspect", "--format", "{{json .RepoDigests}}", image]
    found = subprocess.run(inspect, capture_output=True, text=True, check=False).stdout.strip()
    repository = re.sub(r":[^:/]*$", "", image)
    digests = [digest for digest in json.loads(found or "null") or [] if digest.startswith(f"{repository}@")]
    if digests:
        return f"{image}@{min(digests).split('@')[1]}"
    if image.endswith(":latest"):
        raise StackError(f"{image} is not in a registry, from where nodes could pull it: IMAGE_REGISTRY and RELEASE")
    return image


class Stack:
    def __init__(self, config, pin=pinned):
        extensions = {key for key in config if key.startswith("x-")}
        self.given = take("the stack", config, {"services", "networks", "volumes", "secrets"}, {"name", *extensions})
        self.project, self.pin = config["name"], pin
        self.networks, self.volumes = {}, {}  # those that are used
        self.files = {"secrets": {}, "configs": {}}

    def derive(self, only=()):
        services = self.given["services"]
        environment = services["app"]["environment"]
        for setting, (name, theirs) in MANAGED.items():
            if urlsplit(environment[setting]).hostname != name:
                services = {name: service for name, service in services.items() if name not in theirs}
        services = {name: self.service(name, services[name]) for name in services if not only or name in only}
        stored = {kind: dict(map(self.stored, files.items())) for kind, files in self.files.items()}
        return {"services": services, "networks": self.networks, "volumes": self.volumes, **stored}

    def service(self, name, given):
        given = take(name, given, KEPT | MAPPED | {"security_opt"}, DROPPED)
        if given.get("security_opt", OPTIONS) != OPTIONS:
            raise StackError(f"{name} has security_opt {given['security_opt']}, which Swarm cannot give it")
        new = {key: given[key] for key in KEPT & given.keys()}
        new |= {"configs": [], "secrets": list(filter(None, map(self.secret, given.get("secrets", []))))}
        new["volumes"] = [self.tmpfs(name, *line.split(":", 1)) for line in given.get("tmpfs", [])]
        if "shm_size" in given:
            new["volumes"].append(self.tmpfs(name, "/dev/shm", f"size={given['shm_size']}"))  # noqa: S108
        for volume in given.get("volumes", []):
            for kind, mount in self.mounts(name, volume):
                new[kind].append(mount)
        new["image"] = self.pin(given["image"])
        new["deploy"] = {key: value for key, value in given["deploy"].items() if value != {}}
        new["deploy"]["restart_policy"] = {"condition": "none" if given["restart"] == "no" else "any"}
        networks = given.get("networks") or {given["network_mode"]: None}
        new["networks"] = [self.network(name, network, networks[network]) for network in sorted(networks)]
        new["ports"] = [self.port(name, port) for port in given.get("ports", [])]
        return {key: value for key, value in new.items() if value not in ([], {})}

    def network(self, service, name, options):
        take(f"{service} on {name}", options, ())
        if name == "none":  # network_mode, which Swarm has not: nobody is there, and it leads nowhere
            self.networks[name] = {"driver": "overlay", "internal": True}
        else:
            known = {"driver", "driver_opts", "internal", "ipam"}
            self.networks[name] = take(name, self.given["networks"][name], known, {"name"})
        return name

    def port(self, service, port):
        """The node's own: through the mesh every client would have an address of Swarm's."""
        port = take(f"a port of {service}", port, {"target", "published", "protocol"}, {"mode"})
        return {**port, "published": int(port["published"]), "mode": "host"}

    def tmpfs(self, service, target, options):
        """Its owner only the local driver knows: then it is a volume, which all of a service on one node share."""
        if "uid=" not in options:
            return {"type": "tmpfs", "target": target, "tmpfs": {"size": size(re.search(r"size=(\w+)", options)[1])}}
        source = service + target.replace("/", "-")
        self.volumes[source] = {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": options}}
        return {"type": "volume", "source": source, "target": target}

    def secret(self, given):
        given = take("a secret", given, {"source", "target"})
        path = Path(take(given["source"], self.given["secrets"][given["source"]], {"file"}, {"name"})["file"])
        return None if path == Path("/dev/null") else self.file("secrets", given["source"], path, given["target"])

    def mounts(self, service, volume):
        """Of what kind each is, and the mount."""
        kind, source, target = volume["type"], volume.get("source"), volume["target"]
        known = {"type", "source", "target", "read_only"}
        if kind == "volume":
            self.volumes[source] = take(source, self.given["volumes"][source], {"name", "driver", "driver_opts"})
            yield "volumes", take(source, volume, known)
        elif not take(source, volume, known, {"bind"}).get("read_only"):
            raise StackError(f"{service} writes to {source} of this machine: let it have a volume")
        else:  # what lies in the checkout goes with the stack
            path = Path(source)
            kind = "secrets" if path.parent.name == "secrets" else "configs"
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    name = re.sub(r"[^A-Za-z0-9]+", "_", f"{path.name}_{file.name}" if path.is_dir() else file.name)
                    yield kind, self.file(kind, name, file, str(Path(target, file.relative_to(path))))

    def file(self, kind, name, path, target):
        if self.files[kind].setdefault(name, path) != path:
            raise StackError(f"{path} and {self.files[kind][name]} would both be {name}")
        return {"source": name, "target": target}

    def stored(self, item):
        name, path = item
        content = path.read_bytes()
        if not content:  # its container looks for it all the same, and Swarm takes no empty one
            content, path = EMPTY.read_bytes(), EMPTY
        digest = hashlib.sha256(content).hexdigest()[:12]
        return name, {"name": f"{self.project}_{name}"[: NAME_MAX - 13] + f"_{digest}", "file": str(path)}


if __name__ == "__main__":
    try:
        print(json.dumps(Stack(json.load(sys.stdin)).derive(sys.argv[1:]), indent=2, sort_keys=True))
    except StackError as error:
        sys.exit(f"stack: {error}")
