"""Notes from the command line: flask notes seed"""

import click
from flask.cli import AppGroup

from app.notes.model import Note, list_notes
from flagstone.extensions import cache, db

notes = AppGroup("notes", help="Manage notes.")


@notes.command()
@click.option("--count", default=25, show_default=True)
def seed(count: int) -> None:
    """Write notes to look at, nobody's."""
    db.session.add_all(
        Note(title=f"Note {number} of {count}", body="Made by `make seed`.") for number in range(1, count + 1)
    )
    db.session.commit()
    cache.delete_memoized(list_notes)
    click.echo(f"{count} notes written.")
