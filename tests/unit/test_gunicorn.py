import gc
from socket import socketpair
from types import SimpleNamespace

import pytest
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.unreader import SocketUnreader
from sqlalchemy import create_engine
from sqlalchemy.pool import QueuePool

from flagstone.config import ConfigError


@pytest.fixture
def eight_cpus(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.usefixtures("eight_cpus")
@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "1600000 100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
    ],
)
def test_the_quota_of_the_container_counts_not_the_cpus_of_the_host(gunicorn_conf, tmp_path, files, cpus):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert gunicorn_conf().usable_cpus(tmp_path) == cpus


@pytest.mark.usefixtures("eight_cpus")
def test_the_number_of_processes_is_set_by_either_name_and_at_most_four_by_default(gunicorn_conf):
    assert gunicorn_conf().workers <= 4
    assert gunicorn_conf(WEB_CONCURRENCY="6").workers == 6
    assert gunicorn_conf(WEB_CONCURRENCY="6", GUNICORN_PROCESSES="3").workers == 3


def test_bad_settings_of_gunicorn_are_reported_with_those_of_the_app(gunicorn_conf):
    with pytest.raises(ConfigError.__base__) as caught:
        gunicorn_conf(GUNICORN_WORKER_CONNECTIONS="many", DATABASE_POOL_SIZE="ten")
    assert caught.value.faults.keys() == {"GUNICORN_WORKER_CONNECTIONS", "DATABASE_POOL_SIZE"}


def test_no_idle_connection_is_kept_for_a_stop_to_wait_for(gunicorn_conf):
    assert gunicorn_conf().keepalive == 0


def test_a_body_that_no_view_wants_costs_little(gunicorn_conf):
    """gunicorn drains it by the kilobyte before the next request, and copies all that it has read each time."""
    gunicorn_conf()
    left, reads = 10_000_000, []

    class Socket:
        def recv(self, size):
            nonlocal left
            reads.append(got := min(size, left))
            left -= got
            return b"x" * got

    body = Body(LengthReader(SocketUnreader(Socket()), left))
    while body.read(1024):
        pass
    assert left == 0
    assert max(reads) <= 64 * 1024


@pytest.fixture
def ends():
    ours, theirs = socketpair()
    theirs.settimeout(0)
    with ours, theirs:
        yield ours, theirs


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


def test_an_answer_and_its_head_are_one_write(gunicorn_conf, ends):
    ours, theirs = ends
    sock = gunicorn_conf().OneWrite(ours)
    sock.sendall(LENGTH)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    sock.sendall(b"bo")
    assert theirs.recv(1000) == LENGTH + b"bo"
    sock.sendall(b"dy")
    assert theirs.recv(1000) == b"dy"


def test_the_head_of_a_stream_does_not_wait_for_what_comes_some_time(gunicorn_conf, ends):
    ours, theirs = ends
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    gunicorn_conf().OneWrite(ours).sendall(head)
    assert theirs.recv(1000) == head


def test_a_head_is_before_all_that_is_done_with_its_socket(gunicorn_conf, ends, tmp_path):
    ours, theirs = ends
    (tmp_path / "body").write_bytes(b"body")
    sock = gunicorn_conf().OneWrite(ours)
    sock.sendall(LENGTH)
    with (tmp_path / "body").open("rb") as file:
        sock.sendfile(file)
    assert theirs.recv(1000) == LENGTH + b"body"
    sock.sendall(LENGTH)
    sock.flush()
    sock.flush()
    assert theirs.recv(1000) == LENGTH


def test_connections_of_the_time_of_loading_are_in_no_process(gunicorn_conf, tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    conf = gunicorn_conf()
    engine = create_engine(f"sqlite:///{tmp_path}/loaded", poolclass=QueuePool)
    engine.connect().close()
    assert engine.pool.checkedin() == 1
    try:
        conf.when_ready(None)
    finally:
        gc.unfreeze()
    assert engine.pool.checkedin() == 0


def test_an_edit_is_read_by_each_process_itself(gunicorn_conf):
    assert gunicorn_conf().preload_app
    assert not gunicorn_conf(GUNICORN_RELOAD="1").preload_app


def test_what_was_true_of_a_process_ends_with_it_and_what_it_counted_does_not(gunicorn_conf, tmp_path, monkeypatch):
    """prometheus_client's names of files. A HUP starts new processes while the former ones still run."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    conf, server = gunicorn_conf(), SimpleNamespace(WORKERS={})

    def start(pid):
        worker = SimpleNamespace()
        conf.pre_fork(server, worker)
        server.WORKERS[pid] = worker
        for kind in ("gauge_livesum", "gauge_livemostrecent", "gauge_max", "counter", "histogram"):
            (tmp_path / f"{kind}_{worker.slot}.db").touch()

    for pid in (1, 2, 3, 4):
        start(pid)
    for pid in (1, 2):
        conf.child_exit(server, server.WORKERS.pop(pid))
    assert {file.name for file in tmp_path.glob("gauge_live*")} == {
        f"gauge_{mode}_{slot}.db" for mode in ("livesum", "livemostrecent") for slot in (2, 3)
    }
    assert len([*tmp_path.glob("counter*"), *tmp_path.glob("histogram*"), *tmp_path.glob("gauge_max*")]) == 3 * 4
    start(5)
    assert server.WORKERS[5].slot == 0


def test_no_control_socket_and_no_access_log(gunicorn_conf):
    conf = gunicorn_conf()
    assert conf.control_socket_disable is True
    assert conf.accesslog is None
