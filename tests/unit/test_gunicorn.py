import time

import pytest
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.unreader import SocketUnreader

from app.config import ConfigError


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
        gunicorn_conf(GUNICORN_THREADS="many", DATABASE_POOL_SIZE="ten")
    assert caught.value.faults.keys() == {"GUNICORN_THREADS", "DATABASE_POOL_SIZE"}


def test_an_idle_connection_outlives_the_one_nginx_keeps(gunicorn_conf):
    assert gunicorn_conf().keepalive > 60


def test_a_body_that_no_view_wants_costs_little(gunicorn_conf):
    """gunicorn reads it, by the kilobyte, before the next request, and holds all others meanwhile."""
    gunicorn_conf()
    left = 10_000_000

    class Socket:
        def recv(self, size):
            nonlocal left
            left -= (got := min(size, left))
            return b"x" * got

    body, started = Body(LengthReader(SocketUnreader(Socket()), left)), time.process_time()
    while body.read(1024):
        pass
    assert left == 0
    assert time.process_time() - started < 1


def test_no_control_socket_and_no_access_log(gunicorn_conf):
    conf = gunicorn_conf()
    assert conf.control_socket_disable is True
    assert conf.accesslog is None
