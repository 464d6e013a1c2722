"""Notes from the command line: flask notes seed"""

import click
from flask.cli import AppGroup

from app.notes.model import Note, forget_lists
from flagstone.extensions import db

notes = AppGroup("notes", help="Manage notes.")


@notes.command()
@click.option("--count", default=25, show_default=True)
def seed(count: int) -> None:
    """Write notes to look at, nobody's."""
    db.session.add_all(
        Note(title=f"Note {number} of {count}", body="Made by `make seed`.") for number in range(1, count + 1)
    )
    db.session.commit()
    forget_lists()
    click.echo(f"{count} notes written.")
