"""Statements that take long are logged as they were written, with placeholders: never with a value.

By SQLAlchemy, because psycopg2 puts the values into what it sends: PostgreSQL's own log_min_duration_statement, which
stays off, would log them.
"""

import logging
import time
from typing import Any

from flask import Flask
from sqlalchemy import Connection, event

from flagstone.database import engine

logger = logging.getLogger(__name__)

LENGTH = 2000  # of a statement in the log; one that inserts many rows is long


def init_app(app: Flask) -> None:
    limit = app.config["DATABASE_SLOW_STATEMENT"]
    if not limit:
        return

    def begin(connection: Connection, *_: Any) -> None:
        connection.info["statement began"] = time.monotonic()

    def end(connection: Connection, _: Any, statement: str, *__: Any) -> None:
        took = time.monotonic() - connection.info["statement began"]
        if took >= limit:
            text = " ".join(statement.split())[:LENGTH]
            logger.warning("A statement took %.0f ms: %s", took * 1000, text, extra={"duration": round(took, 3)})

    with app.app_context():
        event.listen(engine(), "before_cursor_execute", begin)
        event.listen(engine(), "after_cursor_execute", end)
