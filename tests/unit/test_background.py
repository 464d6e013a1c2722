"""What every task has from flagstone/background.py."""

import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from celery import shared_task
from celery.exceptions import Reject, Retry
from celery.signals import worker_before_create_process
from kombu.exceptions import EncodeError, OperationalError
from redis.exceptions import OutOfMemoryError
from sqlalchemy import create_engine
from sqlalchemy.pool import QueuePool

from flagstone import beat, broker
from flagstone.background import Task
from flagstone.broker import LAST, LISTS, MESSAGES_MAX, ReleasingQoS
from flagstone.config import with_password
from flagstone.log_context import request_id
from tests.probe import schedule
from tests.shell import run


@shared_task
def job(size=0):
    return [None] * size


@pytest.fixture
def real(make_app):
    """The task as in a worker, where nothing is done in place of being queued."""
    app = make_app(REDIS_URL="redis://127.0.0.1:1", TASK_TIME_LIMIT="30")
    task = app.extensions["celery"].tasks[job.name]
    with app.app_context():
        task.push_request(id="1", args=(), kwargs={}, retries=0, called_directly=False)
        yield task
        task.pop_request()


def test_a_retry_that_cannot_be_queued_gives_the_task_back(real):
    """Celery would drop it."""
    with pytest.raises(Reject) as given:
        real.retry()
    assert given.value.requeue
    assert isinstance(given.value.reason, OperationalError)


def test_a_retry_that_can_never_be_queued_is_an_error(real, monkeypatch):
    """Given back it would come again at once, for ever."""
    with pytest.raises(EncodeError):
        real.retry(args=(object(),))


def test_a_heart_beats_on_while_redis_takes_nothing(monkeypatch, tmp_path):
    """Its file is what Docker looks at, and a full Redis is no reason for a restart."""
    monkeypatch.setattr(broker, "HEARTBEAT", tmp_path / "heartbeat")

    def refuse(*_):
        raise OutOfMemoryError

    broker.show_alive(SimpleNamespace(hset=refuse), "worker")
    assert broker.HEARTBEAT.exists()


@pytest.mark.parametrize("delay", [{"countdown": 31}, {"eta": datetime.now(UTC) + timedelta(days=1)}])
def test_a_delay_for_which_redis_would_deliver_a_task_twice_is_refused(real, delay):
    with pytest.raises(ValueError, match="TASK_TIME_LIMIT"):
        real.apply_async(**delay)


def test_a_retry_is_never_delayed_for_longer(real, monkeypatch):
    monkeypatch.setattr(Task.__base__, "apply_async", lambda *_, **__: None)
    with pytest.raises(Retry) as retry:
        real.retry(countdown=600)
    assert retry.value.when == 30


def test_a_task_that_runs_out_of_memory_fails_as_others_do(app):
    """A MemoryError would end the worker, and come back to the next one."""
    with app.app_context():
        result = job.delay(2**60)
        assert str(result.result) == "out of memory"
        assert isinstance(result.result, RuntimeError)


@pytest.mark.parametrize(
    "settle", [ReleasingQoS.ack, ReleasingQoS.reject, lambda qos, tag: qos.reject(tag, requeue=True)]
)
def test_a_message_that_cannot_be_settled_is_in_hand_no_longer(settle):
    """The worker takes no other while it has one in hand."""
    qos = ReleasingQoS(
        SimpleNamespace(conn_or_acquire=gone, do_restore=False, unacked_key="", unacked_index_key=""), prefetch_count=1
    )
    qos._delivered["tag"] = "message"
    assert not qos.can_consume()
    with pytest.raises(ConnectionError):
        settle(qos, "tag")
    assert qos.can_consume()


def gone(*_):
    raise ConnectionError


def test_a_message_is_worked_on_when_redis_is_too_full_to_note_that():
    """Taken it is already: the worker would lose it, and end."""

    def full(*_):
        raise OutOfMemoryError

    qos = ReleasingQoS(SimpleNamespace(conn_or_acquire=full, do_restore=False, unacked_key="", unacked_index_key=""))
    message = SimpleNamespace(delivery_info={"exchange": "", "routing_key": ""})
    qos.append(message, "tag")
    assert qos._delivered == {"tag": message}


@pytest.fixture
def published(monkeypatch):
    """The ids of tasks that are on their way to Redis; as many wait as the test puts into the lists."""
    ids, lists = [], dict.fromkeys(LISTS, 0)
    monkeypatch.setattr("flagstone.background.redis_client", lambda: SimpleNamespace(llen=lists.get))
    monkeypatch.setattr(Task.__base__, "apply_async", lambda task, *_, **options: ids.append(task.name))
    return SimpleNamespace(ids=ids, lists=lists)


def test_a_request_queues_no_more_than_redis_can_hold_and_others_do(app, published):
    published.lists[LISTS[0]] = MESSAGES_MAX - 1
    with app.test_request_context():
        job.delay()
        published.lists[LISTS[0]] = MESSAGES_MAX
        with pytest.raises(OperationalError, match="1,000 tasks"):
            job.delay()
        job.apply_async(priority=LAST)  # these are fewer
        published.lists[LISTS[-1]] = MESSAGES_MAX
        with pytest.raises(OperationalError, match="1,000 tasks"):
            job.apply_async(priority=LAST)
    with app.app_context():  # of a task, or of the command line
        job.delay()
    assert published.ids == [job.name] * 3


def test_when_the_queue_is_away_it_is_a_503(make_app):
    app = make_app(REDIS_URL="redis://127.0.0.1:1", REDIS_PASSWORD="hunter2")
    answer = app.test_client().post("/api/jobs")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "hunter2" not in answer.text


def test_a_job_that_is_one_too_many_for_the_queue_is_a_503(client, published):
    published.lists[LISTS[-1]] = MESSAGES_MAX
    answer = client.post("/api/jobs")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "cannot be queued" in answer.json["error"]["message"]
    published.lists[LISTS[-1]] -= 1
    assert client.post("/api/jobs").status_code == 202


def test_what_beat_queues_is_a_task_that_the_worker_knows(app):
    for name, entry in (beat.SCHEDULE | schedule.SCHEDULE).items():
        assert entry["task"] in app.extensions["celery"].tasks, name


def test_beat_loads_no_database():
    """It would take twice the memory."""
    assert (
        run(sys.executable, "-c", "import sys, flagstone.beat; print('sqlalchemy' in sys.modules)").stdout == "False\n"
    )


def test_the_request_id_is_that_of_the_request_that_queued_the_task(app):
    seen = []

    @shared_task
    def look():
        seen.append(request_id())

    app.add_url_rule("/look", view_func=lambda: str(look.delay()))
    assert app.test_client().get("/look").headers["X-Request-ID"] == seen[0]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://redis:6379/0", "redis://:p%40s%2Fs@redis:6379/0"),
        ("rediss://user@redis", "rediss://user:p%40s%2Fs@redis"),
    ],
)
def test_the_password_goes_into_the_url_of_the_queue(url, expected):
    assert with_password(url, "p@s/s") == expected
    assert with_password(url, None) == url


def test_a_queue_by_tls_verifies_the_server(make_app):
    """kombu's default does not."""
    queue = make_app(REDIS_URL="rediss://redis").extensions["celery"]
    assert queue.conf.broker_use_ssl["ssl_cert_reqs"].name == "CERT_REQUIRED"


def test_only_json_is_read_from_the_queue(app):
    assert app.extensions["celery"].conf.accept_content == ["json"]


def test_connections_that_a_worker_has_opened_before_its_processes_are_in_none_of_them(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/loaded", poolclass=QueuePool)
    engine.connect().close()
    worker_before_create_process.send(sender=None)
    assert engine.pool.checkedin() == 0
