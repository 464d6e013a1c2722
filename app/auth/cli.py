"""Users from the command line: flask user create you@example.com"""

import click
from flask.cli import AppGroup

from app.auth.model import create_user
from app.errors import InvalidInput

user = AppGroup("user", help="Manage users.")


@user.command()
@click.argument("email")
@click.password_option(help="Asked for where it is not given: other users of this machine can read arguments.")
def create(email: str, password: str) -> None:
    """Create a user."""
    try:
        click.echo(f"User {create_user({'email': email, 'password': password}).id} is there: {email}")
    except InvalidInput as error:
        raise click.ClickException("; ".join(f"{name}: {fault}" for name, fault in error.fields.items())) from None
