"""gunicorn reads this file once, in its master process. Settings: https://docs.gunicorn.org/en/stable/settings.html"""
# ruff: noqa: N999 - this is the name that gunicorn knows

import importlib.util
import os
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from math import ceil
from pathlib import Path
from typing import ClassVar

from gevent import Greenlet, getcurrent, killall
from gunicorn.http.errors import NoMoreData
from gunicorn.workers.ggevent import GeventWorker

# By its path, because `import app` would load Flask and all the rest into the master, before gevent patches a worker.
spec = importlib.util.spec_from_file_location("app_config", Path(__file__).with_name("config.py"))
app_config = importlib.util.module_from_spec(spec)
spec.loader.exec_module(app_config)


class Server:
    """What the environment may set of gunicorn."""

    GUNICORN_BIND: str = "0.0.0.0:8000"
    GUNICORN_PROCESSES: int | None = None
    WEB_CONCURRENCY: int | None = None  # the same, by the name that hosts use
    GUNICORN_THREADS: int | None = None  # requests that one process works on at once, idle connections included
    GUNICORN_RELOAD: bool = False


def usable_cpus(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """The CPUs that this container may use: the host's count means nothing where there is a quota."""
    cpus = len(os.sched_getaffinity(0))
    for files in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):  # cgroup v2, v1
        if (cgroups / files[0]).exists():
            quota, period = " ".join((cgroups / file).read_text() for file in files).split()
            if quota not in ("max", "-1"):
                return max(1, min(cpus, ceil(int(quota) / int(period))))
    return cpus


ANYWHERE = "0.0.0.0/0.0.0.0"


def front_network(routes: Path = Path("/proc/net/route")) -> list[str]:
    """The network of the default route. nginx is there; the other one, of the data services, leads nowhere."""
    # Columns (proc_net(5)): 0 interface, 1 destination, 2 gateway, 7 mask; addresses as little-endian numbers.
    rows = [line.split() for line in routes.read_text().splitlines()[1:]] if routes.exists() else []
    networks = [(row[0], f"{address(row[1])}/{address(row[7])}") for row in rows]
    defaults = [interface for interface, network in networks if network == ANYWHERE]
    return [str(IPv4Network(n)) for interface, n in networks if interface in defaults and n != ANYWHERE]


def address(hexadecimal: str) -> IPv4Address:
    return IPv4Address(bytes.fromhex(hexadecimal)[::-1])


class Worker(GeventWorker):
    """Closes idle connections when it stops.

    nginx keeps some open for its next request; without this every stop, and every replacement after max_requests,
    would wait for them until graceful_timeout.
    """

    idle: ClassVar[set[Greenlet]] = set()

    @contextmanager
    def timeout_ctx(self):  # around the wait for a request
        connection = getcurrent()
        self.idle.add(connection)
        try:
            with super().timeout_ctx():
                yield
        finally:
            self.idle.discard(connection)

    def notify(self):  # every second
        super().notify()
        if not self.alive:
            killall(list(self.idle), exception=NoMoreData, block=False)


server = Server()
# All faults in one start, the app's and the server's, before there is a worker.
unread = app_config.override(server, os.environ)
try:
    app_settings = app_config.load()
except app_config.ConfigError as error:
    raise app_config.ConfigError(error.faults | unread) from None
if unread:
    raise app_config.ConfigError(unread)

bind = server.GUNICORN_BIND
worker_class = Worker
workers = server.GUNICORN_PROCESSES or server.WEB_CONCURRENCY or min(usable_cpus(), 4)
worker_connections = server.GUNICORN_THREADS or 1000
reload = server.GUNICORN_RELOAD
reload_engine = "poll"  # inotify does not see edits through the file sharing of Docker Desktop

# Longer than nginx keeps an idle connection (60 s): or it would send a request into one that is just closing.
keepalive = 75
# A drain ends here; Compose's stop_grace_period is longer.
graceful_timeout = 30
# A process is replaced now and then, so that a slow leak stays small; not all of them at once.
max_requests = 50_000
max_requests_jitter = 5_000

# The heartbeat is a file: on a disk that stalls, healthy workers would be killed.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
# It would be a socket under $HOME, which a read-only container has not.
control_socket_disable = True
# Whose X-Forwarded-Proto counts. Not "*": a container of the other network is no proxy.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS") or ",".join(["127.0.0.1", *front_network()])

errorlog = "-"
accesslog = None  # nginx logs each request
loglevel = app_settings.LOG_LEVEL
