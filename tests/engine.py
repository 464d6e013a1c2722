"""Docker's Engine by its API, for what is asked a thousand times: its command takes 50 ms of a processor each time.

https://docs.docker.com/reference/api/engine/
"""

import json
import socket
from http.client import HTTPConnection
from subprocess import CompletedProcess
from urllib.parse import quote


class Engine(HTTPConnection):
    def __init__(self):
        super().__init__("docker", timeout=300)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect("/var/run/docker.sock")  # compose.yaml has it there


def ask(path, body=None):
    """The answer, as bytes. Raises AssertionError where the Engine refuses, OSError where it is not there."""
    connection = Engine()
    try:
        connection.request(
            "POST" if body else "GET", path, body and json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    assert answer.status < 400, f"{path}: {said.decode()}"
    return said


def texts(stream):
    """What was written to stdout and to stderr, of frames with a head of 8 bytes: which, and how much."""
    written, at = {1: [], 2: []}, 0
    while at < len(stream):
        end = at + 8 + int.from_bytes(stream[at + 4 : at + 8])
        written[stream[at]].append(stream[at + 8 : end])
        at = end
    return tuple(b"".join(parts).decode() for parts in written.values())


def containers(project, service):
    """Their ids, without those of `docker compose run`."""
    labels = {"project": project, "service": service, "oneoff": "False"}
    labels = [f"com.docker.compose.{name}={value}" for name, value in labels.items()]
    found = json.loads(ask(f"/containers/json?all=1&filters={quote(json.dumps({'label': labels}))}"))
    return [container["Id"] for container in found]


def inspect(container):
    return json.loads(ask(f"/containers/{container}/json"))


def logs(container):
    """What it wrote to stdout, and to stderr."""
    return texts(ask(f"/containers/{container}/logs?stdout=1&stderr=1"))


def exec_in(container, *command, **environment):
    """The finished process, whatever it exited with."""
    variables = [f"{name}={value}" for name, value in environment.items()]
    call = {"Cmd": command, "Env": variables, "AttachStdout": True, "AttachStderr": True}
    name = json.loads(ask(f"/containers/{container}/exec", call))["Id"]
    written = texts(ask(f"/exec/{name}/start", {"Detach": False}))
    code = json.loads(ask(f"/exec/{name}/json"))["ExitCode"]
    return CompletedProcess(("docker", "exec", container, *command), code, *written)
