"""How Flask-Migrate runs the migrations: on the app's own engine, with the app's own log."""

from alembic import context
from alembic.util import CommandError
from flask import current_app

db = current_app.extensions["migrate"].db
options = current_app.extensions["migrate"].configure_args

with db.engine.connect() as connection:
    context.configure(connection=connection, target_metadata=db.metadata, **options)
    try:
        with context.begin_transaction():
            context.run_migrations()
    except CommandError as error:
        heads = context.script.get_heads()
        if len(heads) == 1:
            raise
        remedy = f"no other one follows {' and '.join(heads)}. Merge them: make migration m=merge"
        raise CommandError(f"{error} Of the migrations, {remedy}") from None
