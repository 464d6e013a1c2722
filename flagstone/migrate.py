"""`flask migrate`: the database, brought to the newest migration of this release, before `app` starts.

Two releases share a database for a while, and the older one may come back: it finds migrations that it does not know,
and leaves them alone. docs/deploy.md says how to write migrations that both can live with.
"""

import logging
import time
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy.exc import OperationalError

from flagstone.database import engine, wait_for_database

logger = logging.getLogger(__name__)

LOCKED = "55P03"  # lock_not_available: PGOPTIONS in flagstone/services.yaml limits the wait
TRIES, PAUSE = 5, 5  # seconds


def init_app(app: Flask) -> None:
    app.cli.add_command(migrate)


@click.command("migrate")
@click.pass_context
@with_appcontext
def migrate(context: click.Context) -> None:
    """Wait for the database, and upgrade it."""
    import flask_migrate  # Alembic takes time and memory, and only this needs it

    context.invoke(wait_for_database)
    folder = Path(current_app.root_path, "migrations")
    if not folder.is_dir():
        logger.info("There are no migrations.")
        return
    if ahead := unknown_revisions(folder):
        logger.warning("The database is ahead of this release by %s: nothing is changed", ", ".join(ahead))
        return
    for tries_left in reversed(range(TRIES)):
        try:
            flask_migrate.upgrade(directory=str(folder))
            break
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) != LOCKED or not tries_left:
                raise
            # Whoever asks for a table after a waiting migration waits, too. So it steps back, and lets them pass.
            logger.warning("A table is in use, trying again in %d s", PAUSE)
            time.sleep(PAUSE)


def unknown_revisions(folder: Path) -> list[str]:
    """What the database has and this release does not."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory(str(folder)).walk_revisions()}
    with engine().connect() as connection:
        return sorted({*MigrationContext.configure(connection).get_current_heads()} - known)
