import socket
import threading
import time
from types import SimpleNamespace

import pytest
from psycopg2 import OperationalError as DriverError
from psycopg2.extensions import POLL_OK, POLL_READ, STATUS_READY
from sqlalchemy.exc import OperationalError

from app.database import database_state, time_limit, wait
from app.extensions import db

NOWHERE = "postgresql://app@127.0.0.1:1/app"


@pytest.fixture
def frozen():
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Timer(5, server.close).start()  # so that a missing time-out fails the test instead of hanging it
        yield f"postgres://app@127.0.0.1:{server.getsockname()[1]}/app"


def test_the_pool_is_as_configured(make_app):
    with make_app(DATABASE_URL=NOWHERE, DATABASE_POOL_SIZE="3", DATABASE_MAX_OVERFLOW="4").app_context():
        assert db.engine.pool.size() == 3
        assert db.engine.pool._max_overflow == 4
        assert db.engine.pool._recycle == 3600
        assert db.engine.pool._timeout == 30
        assert db.engine.pool._pre_ping is True


def test_the_password_goes_into_the_url_and_is_not_printed(make_app):
    app = make_app(DATABASE_URL="postgres://app@db/app", DATABASE_PASSWORD="p@ss/word")
    url = app.config["SQLALCHEMY_DATABASE_URI"]
    assert (url.drivername, url.host, url.password) == ("postgresql+psycopg2", "db", "p@ss/word")
    assert "p@ss/word" not in f"{url} {url!r}"


def test_a_frozen_database_is_given_up(make_app, frozen):
    with make_app(DATABASE_URL=frozen, DATABASE_CONNECT_TIMEOUT="0.2").app_context():
        start = time.monotonic()
        with pytest.raises(OperationalError, match="no answer from the database in time"):
            db.engine.connect()
        assert time.monotonic() - start < 2


def test_a_request_gives_up_on_a_statement_and_a_command_does_not(make_app):
    app = make_app(DATABASE_TIMEOUT="0.1")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        answers = iter([POLL_READ, POLL_READ, POLL_OK])
        statement = SimpleNamespace(status=STATUS_READY, poll=lambda: next(answers), fileno=ours.fileno)
        late = threading.Timer(2, theirs.send, [b"so that a missing time-out fails the test instead of hanging it"])
        late.start()
        with app.test_request_context(), pytest.raises(DriverError):
            wait(app.config, statement)
        late.cancel()
        threading.Timer(0.3, theirs.send, [b"answer"]).start()
        with app.app_context():
            wait(app.config, statement)


def test_the_values_of_a_statement_stay_out_of_error_messages(app):
    with app.app_context():
        assert db.engine.hide_parameters is True


def test_a_time_limit_ends_earlier_than_the_setting(make_app, frozen):
    with make_app(DATABASE_URL=frozen, DATABASE_CONNECT_TIMEOUT="60").app_context(), time_limit(0.2):
        start = time.monotonic()
        with pytest.raises(OperationalError):
            db.engine.connect()
        assert time.monotonic() - start < 2


def test_the_log_says_which_host_and_why_but_not_the_password(make_app, caplog):
    with make_app(DATABASE_URL=NOWHERE, DATABASE_PASSWORD="hunter2").app_context():
        assert database_state() == "unavailable"
    assert "127.0.0.1" in caplog.text
    assert "refused" in caplog.text
    assert "hunter2" not in caplog.text


def test_waiting_for_the_database_tries_again_and_gives_up_with_a_reason(make_app, caplog):
    app = make_app(DATABASE_URL=NOWHERE, DATABASE_PASSWORD="hunter2")
    result = app.test_cli_runner().invoke(args=["wait-for-database", "--limit", "0.3"])
    assert result.exit_code == 1
    assert "trying again" in caplog.text
    assert "Error: no database after 0.3 s: 127.0.0.1:" in result.output
    assert "hunter2" not in result.output + caplog.text


def test_waiting_for_a_database_that_is_there_returns_at_once(app, caplog):
    result = app.test_cli_runner().invoke(args=["wait-for-database"])
    assert result.exit_code == 0
    assert "The database is ready." in caplog.text


def test_the_migrations_make_the_tables_of_the_models(app):
    with app.app_context():
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext

        with db.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []
