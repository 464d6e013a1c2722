"""How Flask-Migrate runs the migrations: on the app's own engine, with the app's own log."""

from alembic import context
from flask import current_app

db = current_app.extensions["migrate"].db
options = current_app.extensions["migrate"].configure_args

with db.engine.connect() as connection:
    context.configure(connection=connection, target_metadata=db.metadata, **options)
    with context.begin_transaction():
        context.run_migrations()
