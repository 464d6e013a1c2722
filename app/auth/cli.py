"""Users from the command line: flask user create you@example.com"""

from typing import Any

import click
from flask.cli import AppGroup

from app.auth import model
from flagstone.errors import InvalidInput


class UserGroup(AppGroup):
    """Invalid input is a message, not a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InvalidInput as error:
            raise click.ClickException("; ".join(f"{name}: {fault}" for name, fault in error.fields.items())) from None


user = UserGroup("user", help="Manage users.")
email = click.argument("email")
password = click.password_option(
    help="Asked for where it is not given: other users of this machine can read arguments."
)


def named(email: str) -> model.User:
    return model.find_user(email) or click.get_current_context().fail(f"No user has the address {email}.")


@user.command()
@email
@password
def create(email: str, password: str) -> None:
    """Create a user."""
    made = model.create_user({"email": email, "password": password})
    click.echo(f"User {made.id} is there: {made.email}")


@user.command()
@email
@password
def reset(email: str, password: str) -> None:
    """Set a new password, and end all sessions and tokens."""
    if not model.change_password(named(email), password):
        raise click.ClickException("Somebody else has just changed this user, please try again.")


@user.command()
@email
def sign_out(email: str) -> None:
    """End all sessions and tokens."""
    model.sign_out_everywhere(named(email))


@user.command()
@email
def disable(email: str) -> None:
    """Lock the account, and end all sessions and tokens."""
    model.sign_out_everywhere(named(email), disabled=True)


@user.command()
@email
def enable(email: str) -> None:
    """Unlock the account."""
    model.sign_out_everywhere(named(email), disabled=False)
