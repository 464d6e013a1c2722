"""The database: where it is, its pool of connections, and waits for it that come to an end."""

import gc
import logging
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import click
import psycopg2
from flask import Config, Flask, current_app, has_request_context
from flask.cli import with_appcontext
from psycopg2.extensions import POLL_OK, POLL_READ, STATUS_SETUP, connection, set_wait_callback
from sqlalchemy import URL, BigInteger, DateTime, Engine, Integer, create_engine, inspect, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError, TimeoutError
from sqlalchemy.orm import mapped_column

from flagstone.extensions import db
from flagstone.pool import Pool

logger = logging.getLogger(__name__)

# How codes begin: PostgreSQL's (https://www.postgresql.org/docs/current/errcodes-appendix.html) and SQLite's.
GONE = ("08", "53", "57P", "SQLITE_CANTOPEN", "SQLITE_IOERR")  # connection, resources, shutdown
CONFLICT = ("40001", "40P01", "SQLITE_BUSY", "SQLITE_LOCKED")  # serialization failure, deadlock

# Columns that models share. SQLite counts up by itself only in a plain INTEGER.
Id = Annotated[int, mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)]
Time = Annotated[datetime, mapped_column(DateTime(timezone=True))]
ID_MAX = 2**63 - 1  # PostgreSQL cannot even look for more
CreatedAt = Annotated[datetime, mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))]

STATE_SECONDS = 3  # at most, until database_state() knows

deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))


def init_app(app: Flask) -> None:
    url = app.config["SQLALCHEMY_DATABASE_URI"] = database_url(app)
    # With the values of a statement, an error message would put into the log what users wrote.
    options = app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"hide_parameters": not app.debug}
    if url.get_backend_name() == "postgresql":
        set_wait_callback(partial(wait, app.config))
        options |= {
            "poolclass": Pool,
            "pool_size": app.config["DATABASE_POOL_SIZE"],
            "max_overflow": app.config["DATABASE_MAX_OVERFLOW"],
            "pool_timeout": app.config["DATABASE_POOL_TIMEOUT"],
            "pool_use_lifo": True,  # what a crowd has opened stays at rest after it
            "pool_recycle": app.config["DATABASE_POOL_RECYCLE"],
            "pool_pre_ping": app.config["DATABASE_POOL_PRE_PING"],
        }
        # One connection more, to look at the database with while the pool is full.
        app.extensions["spare_database"] = create_engine(
            url, pool_size=1, max_overflow=0, pool_timeout=STATE_SECONDS, pool_pre_ping=True
        )
    app.cli.add_command(wait_for_database)
    if "sqlalchemy" in app.extensions:  # the application's own, with migrations of its own
        return
    db.init_app(app)
    # Commands migrate; what serves does without the time and the memory that loading Alembic takes.
    if "FLASK_RUN_FROM_CLI" in os.environ or not app.config["DATABASE_URL"]:
        add_migrations(app)


def engine() -> Engine:
    """Of the application's Flask-SQLAlchemy, or of ours where it brings none."""
    return current_app.extensions["sqlalchemy"].engine


def disconnect() -> None:
    """Close what the application has opened while it was loaded: two processes cannot talk on one connection."""
    for found in gc.get_objects():
        if issubclass(type(found), Engine):  # also one that the application made by itself
            found.dispose()


def add_migrations(app: Flask) -> None:
    import flask_migrate

    # SQLite cannot alter a column: batch mode writes migrations that copy the table there, and only there.
    flask_migrate.Migrate(app, db, directory=Path(app.root_path, "migrations"), render_as_batch=True)
    if not app.config["DATABASE_URL"]:
        with app.app_context():
            # A new SQLite file (or a test's memory) needs no command before the first page.
            if Path(app.root_path, "migrations").exists() and not inspect(db.engine).get_table_names():
                flask_migrate.upgrade()


def database_url(app: Flask) -> URL:
    """Where the database is. A URL object, because that hides its password when it is printed."""
    url = make_url(app.config["DATABASE_URL"] or ("sqlite://" if app.testing else "sqlite:///flagstone.db"))
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg2")
    return url.set(password=app.config["DATABASE_PASSWORD"]) if app.config["DATABASE_PASSWORD"] else url


class StatementTimeout(psycopg2.OperationalError):
    """psycopg2 has closed the connection, and the pool replaces it: half an answer may still be on its way."""


def wait(config: Config, connection: connection) -> None:
    """Wait for PostgreSQL as psycopg2's wait callback: without one a query blocks every greenlet of the process.

    With one, psycopg2 leaves all time-outs to it, connect_timeout too; and a frozen server never answers.
    """
    limit, fault = float("inf"), StatementTimeout  # a migration may take as long as it takes
    if connection.status == STATUS_SETUP:
        limit, fault = config["DATABASE_CONNECT_TIMEOUT"], psycopg2.OperationalError
    elif has_request_context():
        limit = config["DATABASE_TIMEOUT"]
    until = min(time.monotonic() + limit, deadline.get())
    while (state := connection.poll()) != POLL_OK:
        # From the standard library, which gunicorn's gevent worker has made cooperative.
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        left = until - time.monotonic()
        if not poll.poll(None if left == float("inf") else max(left, 0) * 1000):
            raise fault("no answer from the database in time")


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """No wait for the database inside this block goes on for longer."""
    token = deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        deadline.reset(token)


def pool_limit() -> int:
    """Connections that may be in use at once; -1 without a limit, as SQLAlchemy takes a DATABASE_POOL_SIZE of 0."""
    return engine().pool.size() + engine().pool._max_overflow


def database_state() -> str:
    """ok, busy while each connection of the pool is in use, or unavailable."""
    state, asked, spare = "ok", engine(), current_app.extensions.get("spare_database")
    if spare and 0 < pool_limit() <= asked.pool.checkedout():
        state, asked = "busy", spare
    try:
        with time_limit(STATE_SECONDS), asked.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        logger.warning("The database does not answer: %s", describe_error(error))
        return "unavailable"
    return state


def transient(error: BaseException) -> Literal["gone", "slow", "busy", "conflict"] | None:
    """Why the same may work in a moment. None: it will not, such as with a column that does not exist."""
    if isinstance(error, TimeoutError):
        return "busy"  # no connection of the pool became free
    if not isinstance(error, DBAPIError):
        return None
    if isinstance(error.orig, StatementTimeout):
        return "slow"
    code = getattr(error.orig, "pgcode", None) or getattr(error.orig, "sqlite_errorname", None) or ""
    if code.startswith(CONFLICT):
        return "conflict"
    no_answer = isinstance(error, OperationalError) and not code  # what the network or a connect says has no code
    return "gone" if error.connection_invalidated or no_answer or code.startswith(GONE) else None


def describe_error(error: Exception) -> str:
    """Which host, and the first line of what the driver says. Never the password."""
    return f"{engine().url.host or engine().name}: {getattr(error, 'orig', error)}".strip().partition("\n")[0]


@click.command("wait-for-database")
@click.option("--limit", default=60.0, show_default=True, help="Seconds after which to give up.")
@with_appcontext
def wait_for_database(limit: float) -> None:
    """Wait until the database accepts connections."""
    end, pause = time.monotonic() + limit, 0.5
    while True:
        try:
            engine().connect().close()
            logger.info("The database is ready.")
            return
        except SQLAlchemyError as error:
            left = end - time.monotonic()
            if left <= 0:
                raise click.ClickException(f"no database after {limit:g} s: {describe_error(error)}") from None
            pause = min(pause * 2, 8, left)
            logger.warning("The database is not ready, trying again in %.0f s: %s", pause, describe_error(error))
            time.sleep(pause)
