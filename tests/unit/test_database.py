import socket
import threading
import time
from types import SimpleNamespace

import psycopg2
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import got_request_exception
from psycopg2.extensions import POLL_OK, POLL_READ, STATUS_READY
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError, TimeoutError

from flagstone.database import StatementTimeout, database_state, time_limit, transient, wait
from flagstone.extensions import db
from flagstone.mail import Mail
from tests.probe.items import ProbeItem
from tests.probe.jobs import ProbeJob

NOWHERE = "postgresql://app@127.0.0.1:1/app"


@pytest.fixture
def frozen():
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        late = threading.Timer(60, server.close)  # so that a missing time-out fails the test instead of hanging it
        late.start()
        yield f"postgres://app@127.0.0.1:{server.getsockname()[1]}/app"
        late.cancel()


def test_the_pool_is_as_configured(make_app):
    with make_app(DATABASE_URL=NOWHERE, DATABASE_POOL_SIZE="3", DATABASE_MAX_OVERFLOW="4").app_context():
        assert db.engine.pool.size() == 3
        assert db.engine.pool._max_overflow == 4
        assert db.engine.pool._recycle == 3600
        assert db.engine.pool._timeout == 5
        assert db.engine.pool._pre_ping is True


def test_the_password_goes_into_the_url_and_is_not_printed(make_app):
    app = make_app(DATABASE_URL="postgres://app@db/app", DATABASE_PASSWORD="p@ss/word")
    url = app.config["SQLALCHEMY_DATABASE_URI"]
    assert (url.drivername, url.host, url.password) == ("postgresql+psycopg2", "db", "p@ss/word")
    assert "p@ss/word" not in f"{url} {url!r}"


def test_a_frozen_database_is_given_up(make_app, frozen):
    took = []
    with make_app(DATABASE_URL=frozen, DATABASE_CONNECT_TIMEOUT="0.2").app_context():
        for _ in range(3):
            start = time.monotonic()
            with pytest.raises(OperationalError, match="no answer from the database in time"):
                db.engine.connect()
            took.append(time.monotonic() - start)
    assert min(took) < 2, "the default is 5"


def test_a_request_gives_up_on_a_statement_and_a_command_does_not(make_app):
    app = make_app(DATABASE_TIMEOUT="0.1")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        answers = iter([POLL_READ, POLL_READ, POLL_OK])
        statement = SimpleNamespace(status=STATUS_READY, poll=lambda: next(answers), fileno=ours.fileno)
        late = threading.Timer(60, theirs.send, [b"so that a missing time-out fails the test instead of hanging it"])
        late.start()
        with app.test_request_context(), pytest.raises(StatementTimeout):
            wait(app.config, statement)
        late.cancel()
        threading.Timer(0.3, theirs.send, [b"answer"]).start()
        with app.app_context():
            wait(app.config, statement)


def from_server(code, message="it says why"):
    """What SQLAlchemy makes of an error with this SQLSTATE; None is what the network or a connect says."""
    kind = psycopg2.errors.lookup(code) if code else psycopg2.OperationalError
    error = type(kind.__name__, (kind,), {"pgcode": code})(message)
    return DBAPIError.instance("SELECT 1", None, error, psycopg2.Error)


PASSES = {
    **dict.fromkeys([None, "08006", "08P01", "53100", "53300", "57P01", "57P02", "57P03"], ("gone", 5)),
    **dict.fromkeys(["40001", "40P01"], ("conflict", 1)),
}
# A column that does not exist, a cancelled statement, a lock that NOWAIT did not get, a full program stack, ...
STAYS = ["22003", "23505", "25P02", "26000", "42703", "42P01", "54001", "55P03", "57014", "58030", "XX000"]


def fail_with(make_app, error):
    app = make_app()

    def view():
        raise error

    app.add_url_rule("/api/fails", view_func=view)
    seen = []
    with got_request_exception.connected_to(lambda _, exception: seen.append(exception), app):
        return app.test_client().get("/api/fails"), seen


@pytest.mark.parametrize("code", PASSES)
def test_what_passes_by_itself_is_503_with_a_hint_when_to_retry(make_app, code, caplog):
    kind, seconds = PASSES[code]
    answer, _ = fail_with(make_app, from_server(code))
    assert transient(from_server(code)) == kind
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, str(seconds))
    assert "it says why" in caplog.text
    assert "it says why" not in answer.text
    assert ("Traceback" in caplog.text) == (kind == "conflict")


@pytest.mark.parametrize("code", STAYS)
def test_what_does_not_pass_is_an_error_with_its_traceback_and_sentry_hears_of_it(make_app, code, caplog):
    answer, seen = fail_with(make_app, from_server(code))
    assert answer.status_code == 500
    assert "Retry-After" not in answer.headers
    assert [type(error.orig).__name__ for error in seen] == [psycopg2.errors.lookup(code).__name__]
    assert "Traceback" in caplog.text


def test_a_full_pool_and_a_slow_statement_are_503_and_say_which(make_app, caplog):
    answer, _ = fail_with(make_app, TimeoutError("QueuePool limit of size 10 overflow 20 reached"))
    assert (answer.status_code, "in use" in answer.json["error"]["message"]) == (503, True)
    assert "QueuePool limit of size 10" in caplog.text
    slow = DBAPIError.instance("SELECT slow", None, StatementTimeout("no answer"), psycopg2.Error)
    answer, _ = fail_with(make_app, slow)
    assert (answer.status_code, "in time" in answer.json["error"]["message"]) == (503, True)
    assert "SELECT slow" in caplog.text, "which one"


def test_errors_of_sqlite_are_told_apart_too(make_app, tmp_path):
    """All of them are of one class."""
    with make_app().app_context(), pytest.raises(OperationalError) as caught:
        db.session.execute(text("SELECT missing FROM probe_item"))
    assert transient(caught.value) is None
    with make_app(DATABASE_URL=f"sqlite:///{tmp_path}/absent/db").app_context(), pytest.raises(DBAPIError) as caught:
        db.engine.connect()
    assert transient(caught.value) == "gone"
    with make_app(DATABASE_URL=f"sqlite:///{tmp_path}/db?timeout=0").app_context(), db.engine.connect() as one:
        one.execute(text("BEGIN EXCLUSIVE"))
        with db.engine.connect() as two, pytest.raises(DBAPIError) as caught:
            two.execute(text("BEGIN EXCLUSIVE"))
    assert transient(caught.value) == "conflict"


def test_the_values_of_a_statement_stay_out_of_error_messages(app):
    with app.app_context():
        assert db.engine.hide_parameters is True


def test_a_time_limit_ends_earlier_than_the_setting(make_app, frozen):
    with make_app(DATABASE_URL=frozen, DATABASE_CONNECT_TIMEOUT="60").app_context(), time_limit(0.2):
        start = time.monotonic()
        with pytest.raises(OperationalError, match="no answer from the database in time"):
            db.engine.connect()
        assert time.monotonic() - start < 30


def test_the_log_says_which_host_and_why_but_not_the_password(make_app, caplog):
    with make_app(DATABASE_URL=NOWHERE, DATABASE_PASSWORD="hunter2").app_context():
        assert database_state() == "unavailable"
    assert "127.0.0.1" in caplog.text
    assert "refused" in caplog.text
    assert "hunter2" not in caplog.text


def test_waiting_for_the_database_tries_again_and_gives_up_with_a_reason(make_app, caplog, monkeypatch):
    slept = []  # only that takes time
    clock = SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append)
    monkeypatch.setattr("flagstone.database.time", clock)
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
    """Of these: Python has loaded another application as well, and all models share one registry."""
    tables = {table.name for table in (ProbeItem.__table__, ProbeJob.__table__, Mail.__table__)}
    assert differences(app, lambda name: name in tables) == []


def differences(app, belongs):
    """Between the models and the database, in the tables with such names."""
    options = {"include_name": lambda name, kind, _: kind != "table" or belongs(name)}
    options |= {"include_object": lambda thing, name, kind, *_: kind != "table" or belongs(name)}
    with app.app_context(), db.engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts=options), db.metadata)


@pytest.mark.parametrize(("limit", "lines"), [("0.000001", 1), ("60", 0), ("0", 0)])
def test_a_slow_statement_is_logged_with_its_placeholders_and_never_a_value(make_app, caplog, limit, lines):
    app = make_app(DATABASE_SLOW_STATEMENT=limit)
    with app.app_context():
        db.create_all()
        caplog.clear()
        db.session.execute(db.select(ProbeItem).filter_by(name="Zk29canary\nQx7"))
    slow = [record for record in caplog.records if record.name == "flagstone.slow_statements"]
    assert len(slow) == lines
    for record in slow:
        assert 0 <= record.duration < 5
        assert "WHERE probe_item.name = ?" in record.getMessage()
        assert "\n" not in record.getMessage()
    assert "Zk29canary" not in caplog.text
