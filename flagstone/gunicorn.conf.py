"""gunicorn reads this file once, in its master process. Settings: https://docs.gunicorn.org/en/stable/settings.html"""
# ruff: noqa: N999 - this is the name that gunicorn knows

import gc
import os
import tempfile
import time
import traceback
import warnings
from contextlib import suppress
from itertools import count
from math import ceil
from pathlib import Path
from socket import SHUT_RD

from gevent import monkey
from gevent.server import StreamServer
from gunicorn import util
from gunicorn.glogging import Logger
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.ggevent import GeventWorker

# And no more of it: Flask would be loaded before gevent has patched. `config` alone is a setting of gunicorn's.
import flagstone.busy
import flagstone.config
import flagstone.live
import flagstone.log

GOING_AWAY = b"\x88\x02\x03\xe9"  # a WebSocket's closing frame (RFC 6455, 5.5.1) with its code, 1001


class Server:
    """What the environment may set of gunicorn."""

    GUNICORN_BIND: str = "0.0.0.0:8000"
    GUNICORN_PROCESSES: int | None = None
    WEB_CONCURRENCY: int | None = None  # the same, by the name that hosts use
    GUNICORN_WORKER_CONNECTIONS: int | None = (
        None  # requests that one process works on at once, idle connections included
    )
    GUNICORN_PRELOAD: bool = True  # load the application once for all processes; not while GUNICORN_RELOAD is on
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


class CommonLogger(Logger):
    """gunicorn's own messages go where all others go."""

    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.propagate = True


def refuse(client, status, reason, _):
    """gunicorn's own answer to what it cannot read or serve. nginx puts its page there (nginx/site/errors.conf)."""
    page = "/refused/400" if status < 500 else "/refused/500"
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Length: 0\r\nX-Accel-Redirect: {page}\r\n\r\n"
    util.write_nonblock(client, head.encode())


util.write_error = refuse

# A request is begun when nothing else is ready: what waits, waits in the socket's queue, and what has begun ends.
StreamServer.max_accept = 1


class OneWrite:
    """The client's socket: the head of an answer is sent together with what follows it, and wakes nginx once."""

    def __init__(self, sock):
        self.sock, self.head = sock, b""

    def sendall(self, data):
        length_known = data.startswith(b"HTTP/") and b"\r\nContent-Length: " in data
        if length_known and not self.head:  # its body comes at once, or there is none
            self.head = data
        else:
            self.sock.sendall(self.head + data)
            self.head = b""

    def flush(self):
        if self.head:
            self.sendall(b"")

    def __getattr__(self, name):  # whatever else is done with it, such as sendfile()
        self.flush()
        return getattr(self.sock, name)


class Worker(GeventWorker):
    """Closes its WebSockets when it stops: their clients come back to its successor, and no stop waits for them."""

    @classmethod
    def setup(cls):
        """In the master process, before it loads the application: what that keeps (locks, modules) is gevent's.

        The master itself goes on waiting for signals and children as ever. A process patches the rest of it.
        """
        warnings.filterwarnings("ignore", category=monkey.MonkeyPatchWarning)  # of patching in two steps
        monkey.patch_all(os=False, signal=False)
        # The files of flagstone/metrics.py: a folder for each start, and in it a name for each process that its
        # successor takes over. Named after the pid, they would grow in number with each process that is replaced.
        if "GUNICORN_STARTED" not in os.environ:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="metrics-")
            os.environ["GUNICORN_STARTED"] = str(time.time())

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.websockets = set()
        self.gate = flagstone.busy.Gate()

    def handle_request(self, listener_name, req, sock, addr):
        if isinstance(listener_name, str):  # the socket, which only nginx has
            for handed_on in (float(value) for name, value in req.headers if name == "X-REQUEST-START"):
                self.gate.begin(handed_on)
        if ("UPGRADE", "websocket") not in req.headers:
            one_write = OneWrite(sock)
            try:
                return super().handle_request(listener_name, req, one_write, addr)
            finally:
                with suppress(OSError):
                    one_write.flush()
                # A body that no view has read. A socket that is closed while nginx sends is a failure to it: it would
                # not look for the answer any more.
                with suppress(Exception):
                    while req.body.read(SocketUnreader.max_body_chunk):
                        pass
        self.websockets.add(sock)
        try:
            return super().handle_request(listener_name, req, sock, addr)
        finally:
            self.websockets.discard(sock)

    def notify(self):  # each second, while it serves and while it drains
        super().notify()
        if self.alive:
            flagstone.live.take_if_vacant()
            self.gate.look()
        while not self.alive and self.websockets:
            # By a copy: on the one that a greenlet waits for, gevent would raise an error there.
            with suppress(OSError), self.websockets.pop().dup() as sock:
                sock.settimeout(0)
                sock.shutdown(SHUT_RD)
                sock.send(GOING_AWAY)


class ReloadingWorker(Worker):
    """Development: an edit that fails at import is shown and watched, as gunicorn does with one that does not parse."""

    def load_wsgi(self):
        try:
            super().load_wsgi()
        except Exception as error:
            self.log.exception("The app does not start")
            for frame in traceback.extract_tb(error.__traceback__):
                self.reloader.add_extra_file(frame.filename)
            self.wsgi = util.make_fail_app(traceback.format_exc())


server = Server()
# All faults in one start, the app's and the server's, before there is a worker.
unreadable = flagstone.config.override(server, os.environ)
try:
    app_settings = flagstone.config.load()
except flagstone.config.ConfigError as error:
    raise flagstone.config.ConfigError(error.faults | unreadable) from None
if unreadable:
    raise flagstone.config.ConfigError(unreadable)
flagstone.log.configure(app_settings)

bind = [server.GUNICORN_BIND]
if flagstone.live.FOLDER.is_dir():  # shared with nginx
    bind.append(f"unix:{flagstone.live.own()}")
worker_class = ReloadingWorker if server.GUNICORN_RELOAD else Worker
workers = server.GUNICORN_PROCESSES or server.WEB_CONCURRENCY or min(usable_cpus(), 4)
worker_connections = server.GUNICORN_WORKER_CONNECTIONS or 1000
# A process shares the application's memory with the others until it writes to it, and its successor serves at once.
preload_app = server.GUNICORN_PRELOAD and not server.GUNICORN_RELOAD
reload = server.GUNICORN_RELOAD
reload_engine = "poll"  # inotify does not see edits through the file sharing of Docker Desktop

# nginx is the one that limits them, with a page that says so (nginx/http/request-size.conf.template).
limit_request_line = 0
limit_request_fields = 32_768
limit_request_field_size = 1 << 20

# nginx connects anew for each request (nginx/http/upstream.conf), and so does whoever else asks: a process that stops
# would wait for an idle connection. Forwarding headers are flagstone/proxy.py's.
keepalive = 0
# A drain ends here; Compose's stop_grace_period is longer.
graceful_timeout = 30
# A process is replaced now and then, so that a slow leak stays small; not all of them at once.
max_requests = 50_000
max_requests_jitter = 5_000

# Each read of a body copies all that gunicorn has of it: by its 1 MB, seconds of work for one that no view wants.
SocketUnreader.max_body_chunk = 64 * 1024

# The heartbeat is a file: on a disk that stalls, healthy workers would be killed.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
# It would be a socket under $HOME, which a read-only container has not.
control_socket_disable = True

logger_class = CommonLogger
errorlog = None
accesslog = None  # nginx logs each request
loglevel = app_settings.LOG_LEVEL


def when_ready(server):
    if preload_app:
        from flagstone.database import disconnect

        disconnect()
        for file in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("*_master.db"):
            file.unlink()  # it has counted nothing
        gc.collect()
        gc.freeze()  # what is there now is not looked at again, and so not copied into each process


def pre_fork(server, worker):
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = next(slot for slot in count() if slot not in taken)
    os.environ["GUNICORN_SLOT"] = str(worker.slot)  # of the process that now begins


def post_worker_init(worker):
    from flagstone.loop import Watchdog  # only now: in a worker, which gevent has patched

    Watchdog()
    flagstone.live.take_if_vacant()


def child_exit(server, worker):
    # Gauges of the living end with it: after a HUP others have other slots, and would be counted beside it.
    for file in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob(f"gauge_live*_{worker.slot}.db"):
        file.unlink()
