from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.util.queue import Empty

from flagstone.pool import InTurn, Pool
from tests.wait import until


@pytest.fixture
def waiters():
    """Starts one who waits for the queue, and returns what he will get."""
    with ThreadPoolExecutor() as threads:

        def start(queue, timeout=60):
            before = {*queue.turns}
            future = threads.submit(queue.get, timeout=timeout)
            until(lambda: {*queue.turns} - before or future.done())
            return future

        yield start


def test_who_comes_later_does_not_take_what_came_back_for_a_waiter(waiters):
    queue = InTurn(2)
    waiter = waiters(queue)
    with queue.mutex:  # the waiter has not woken up yet
        queue.put("connection")
        with pytest.raises(Empty):
            queue.get(block=False)
    assert waiter.result(60) == "connection"


def test_waiters_come_in_turn(waiters):
    queue = InTurn(5)
    line = [waiters(queue) for _ in range(5)]
    for number, waiter in enumerate(line):
        queue.put(number)
        assert waiter.result(60) == number


def test_the_next_one_is_called_when_one_gives_up(waiters):
    queue = InTurn(2)
    hasty, patient = waiters(queue, timeout=1), waiters(queue)
    with pytest.raises(Empty):
        hasty.result(60)
    queue.put("connection")
    assert patient.result(60) == "connection"
    queue.put("another")
    assert queue.get(block=False) == "another"
    with pytest.raises(Empty):
        queue.get(timeout=0)


def test_a_pool_of_them_has_its_limit_and_ends_waits():
    engine = create_engine("sqlite://", poolclass=Pool, pool_size=1, max_overflow=0, pool_timeout=0.1)
    with engine.connect() as connection:
        with pytest.raises(NoConnection):
            engine.connect()
        before = connection.connection.dbapi_connection
    with engine.connect() as connection:
        assert connection.connection.dbapi_connection is before


def test_a_site_has_such_a_pool(make_app):
    app = make_app(DATABASE_URL="postgresql://app@127.0.0.1:9/app")
    with app.app_context():
        assert type(app.extensions["sqlalchemy"].engine.pool) is Pool
