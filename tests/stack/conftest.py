"""The two stacks as their compose files describe them, each a project of its own, up once for all tests."""

import fcntl
import os
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from tests import engine
from tests.engine import exec_in
from tests.shell import checked, docker, run
from tests.stack.site import Site
from tests.wait import until

TEST_ID = os.environ["TEST_ID"]
DOMAIN = "example.test"
HERE = "tests.test"  # this container, for those of a stack
NO_AUTHORITY = "http://127.0.0.1:9/directory"
# All tests come from one address, as fast as they can. tests/stack/edge/test_rate_limits.py is about the limits.
UNLIMITED = {"RATE_LIMIT": "10000r/s", "LOGIN_RATE_LIMIT": "10000r/s"}
NO_BACKUPS = {"BACKUP_REPOSITORY": "off"}  # each takes seconds of a processor; tests/backup is about them

RUNNING = []  # stacks: tests/conftest.py ends them when their group is over


@dataclass
class Stack:
    name: str
    files: tuple[str, ...]
    environment: dict = field(default_factory=dict)
    folder: Path = Path()  # of the checkout
    site: Site = None
    http: Site = None

    def __post_init__(self):
        self.environment = {**UNLIMITED, **self.environment}

    @property
    def project(self):
        return f"{TEST_ID}-{self.name}"

    @property
    def command(self):
        files = [word for file in self.files for word in ("--file", str(self.folder / file))]
        return ("compose", "--project-name", self.project, *files)

    def compose(self, *arguments, **options):
        return docker(*self.command, *arguments, **{"timeout": 300, **self.environment, **options})

    def once(self, service, *command, environment=None, options=()):
        """`command` in a container of its own, for as long as it runs; returns the finished process."""
        flags = [flag for name, value in (environment or {}).items() for flag in ("--env", f"{name}={value}")]
        start = ("run", "--rm", "--no-deps", "--no-TTY", *flags, *options, service, *command)
        return run("docker", *self.command, *start, check=False, **self.environment)

    @contextmanager
    def another(self, service, *options, compose=None, **settings):
        """One more container of `service` with these settings, and with variables for Compose; yields its name."""
        name = f"{self.project}-another"
        flags = [word for setting, value in settings.items() for word in ("--env", f"{setting}={value}")]
        start = ("run", "--detach", "--no-deps", "--name", name, *flags, *options, service)
        try:
            self.compose(*start, **(compose or {}))
            yield name
        finally:
            docker("rm", "--force", name)

    @contextmanager
    def beside(self, **settings):
        """One more `app`, of one process; yields a Site that asks it without nginx."""
        with self.another("app", **{"GUNICORN_PROCESSES": 1, **settings}) as name:
            site = Site(name, 8000, self.site.host)
            until(lambda: site.get("/health").status == 200)
            yield site

    @contextmanager
    def in_place(self, **settings):
        """An `app` with these settings in the place of the stack's own; yields a Site that asks it without nginx."""
        with self.another("app", **settings) as name:
            site = Site(name, 8000, "app")  # TRUSTED_HOSTS has its neighbours' name for it
            until(lambda: site.get("/health/live").status == 200)
            self.switch(name)
            try:
                self.await_health("ok")
                yield site
            finally:
                self.switch(self.container("app"))
                self.await_health("ok")

    def switch(self, container):
        """nginx asks this one from now on."""
        checked(exec_in(container, "python", "-m", "flagstone.live"))

    @contextmanager
    def without(self, service):
        """Stopped meanwhile. By its container: before it starts `app`, Compose would run the migrations once more."""
        container = self.container(service)
        docker("stop", "-t", "2", container)
        try:
            yield
        finally:
            docker("start", container)
            self.await_health("ok")

    def container(self, service):
        """Its name, or for `app`, whose container has another number after each release, its id."""
        if service != "app":
            return f"{self.project}-{service}-1"
        (found,) = engine.containers(self.project, service)
        return found

    def try_exec(self, service, *command, **environment):
        """The finished process."""
        return exec_in(self.container(service), *command, **environment)

    def exec(self, service, *command, **environment):
        """What it printed, stripped."""
        return checked(self.try_exec(service, *command, **environment)).stdout.strip()

    def inspect(self, service):
        return engine.inspect(self.container(service))

    def address(self, service, network):
        """Of the service's container on one of the stack's networks."""
        return self.address_of(self.container(service), network)

    def address_of(self, container, network):
        found = engine.inspect(container)
        return found["NetworkSettings"]["Networks"][f"{self.project}_{network}"]["IPAddress"]

    def sql(self, statement):
        """As the superuser, who is reached inside the container only."""
        psql = ("psql", "-U", "postgres", "-d", "app", "-Atc", statement)
        return self.exec("db", *psql)

    def redis(self, *command):
        password = r"""REDISCLI_AUTH="$(tr -d '\r\n' </run/secrets/redis_password)" """
        call = f"{password} redis-cli {' '.join(command)}"
        return self.exec("redis", "sh", "-c", call)

    def services(self):
        return self.compose("config", "--services").split()

    def logs(self, service):
        return engine.logs(self.container(service))[0]

    def said(self, service):
        """What it wrote, to whichever stream."""
        return "".join(engine.logs(self.container(service)))

    def await_healthy(self, *services):
        def healthy():
            states = {service: self.inspect(service)["State"] for service in services}
            bad = {name: state["Status"] for name, state in states.items() if state["Health"]["Status"] != "healthy"}
            assert not bad, bad
            return True

        until(healthy, what=f"{services} healthy")

    def await_health(self, status):
        """Wait until GET /health has this `status` field, and return the whole Answer."""

        def seen():
            answer = self.site.get("/health")
            assert answer.json.get("status") == status, answer.json
            return answer

        return until(seen)

    def up(self):
        self.compose("up", "--detach", "--build", "--wait", "--quiet-pull")
        with networks(change=True):
            for network in ("edge", "web"):
                docker("network", "connect", "--alias", HERE, f"{self.project}_{network}", socket.gethostname())
        self.await_health("ok")

    def down(self, *options, within=2):
        with networks(change=True):
            for network in ("edge", "web"):
                leave = ("network", "disconnect", "--force", f"{self.project}_{network}", socket.gethostname())
                run("docker", *leave, check=False)
        self.compose("down", "--remove-orphans", "--timeout", str(within), *options)

    def end(self):
        """For good, if it has not ended yet."""
        if self in RUNNING:
            RUNNING.remove(self)
            self.down("--volumes", within=0)

    def __enter__(self):
        RUNNING.append(self)
        try:
            self.up()
        except BaseException:
            print(self.compose("logs", "--tail", "30", check=False))
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()


@contextmanager
def networks(change=False):
    """Chromium drops what it is loading when a network of this container comes or goes: who adds or removes one waits
    until no process of the tests has a page open."""
    with Path("/tmp/networks").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if change else fcntl.LOCK_SH)
        yield


@cache
def on_the_host():
    """A container that sees the processes of all others; tests/run.sh removes it."""
    start = ("run", "--detach", "--pid", "host", "--user", "0", "--entrypoint", "sleep")
    return docker(*start, "--name", f"{TEST_ID}-host", "redis:8", "infinity")


def kill(signal, *pids):
    """As the kernel does it. Docker takes `docker kill` for a stop by hand."""
    checked(exec_in(on_the_host(), "sh", "-c", f"kill -{signal} {' '.join(map(str, pids))}"))


@contextmanager
def edited(path, old, new):
    """Replace `old` in a file of the checkout (the tests' copy of it), then put it back."""
    file = Path(path)
    text = file.read_text()
    assert old in text
    try:
        file.write_text(text.replace(old, new, 1))
        yield
    finally:
        file.write_text(text)


@contextmanager
def nginx_with(stack, **settings):
    """nginx with these settings, and with nothing counted yet; then as the other tests need it."""
    try:
        stack.compose("up", "--detach", "--wait", "--no-deps", "--force-recreate", "nginx", **settings)
        yield
    finally:
        stack.compose("up", "--detach", "--wait", "--no-deps", "nginx")
        stack.await_health("ok")


def development(name, **options):
    """compose.yaml, on plain HTTP, not up yet."""
    stack = Stack(name, ("compose.yaml",), {"DEV_PORT": "0"}, **options)
    stack.site = stack.http = Site(f"{stack.project}-nginx-1", 8080, "localhost")
    return stack


def production(name, *files, kind=Stack, folder=Path(), **environment):
    """compose.prod.yaml, on HTTPS, not up yet. It has its placeholder certificate, for there is no authority."""
    environment = {"DOMAIN": DOMAIN, "HTTP_PORT": "0", "HTTPS_PORT": "0", "ACME_SERVER": NO_AUTHORITY, **environment}
    stack = kind(name, ("compose.prod.yaml", *files), environment, folder)
    stack.site = Site(f"{stack.project}-nginx-1", 8443, DOMAIN, tls=True)
    stack.http = Site(f"{stack.project}-nginx-1", 8080, DOMAIN)
    return stack


@pytest.fixture(scope="session")
def dev():
    with development("dev") as stack:
        yield stack


@pytest.fixture(scope="session")
def prod():
    with production("prod", **NO_BACKUPS) as stack:
        yield stack


@pytest.fixture(scope="session", params=["dev", "prod"])
def stack(request):
    """Both: a promise that holds in development and in production."""
    return request.getfixturevalue(request.param)
