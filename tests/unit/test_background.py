"""What every task has from flagstone/background.py."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from celery import shared_task
from celery.exceptions import Reject, Retry
from kombu.exceptions import EncodeError, OperationalError
from redis.exceptions import OutOfMemoryError

from app.reports.model import Report
from flagstone.background import Task
from flagstone.broker import LAST, LISTS, MESSAGES_MAX, ReleasingQoS
from flagstone.extensions import db


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


@pytest.mark.parametrize("delay", [{"countdown": 31}, {"eta": datetime.now(UTC) + timedelta(hours=1)}])
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


def test_a_report_that_is_one_too_many_for_the_queue_is_a_503_and_leaves_no_row(app, user, published):
    published.lists[LISTS[-1]] = MESSAGES_MAX
    answer = user.post("/api/reports")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "cannot be queued" in answer.json["error"]["message"]
    assert "cannot be queued" in user.post("/reports").text
    published.lists[LISTS[-1]] -= 1
    assert user.post("/api/reports").status_code == 202
    with app.app_context():
        assert len(db.session.scalars(db.select(Report)).all()) == 1
