"""What gunicorn, `flask` and the worker load: the application that APP_MODULE names, on the platform.

APP_MODULE is read as FLASK_APP would be: a module or package with `app`, `application` or `create_app()`, or what
follows it after a colon.
"""

import os

from flask.cli import ScriptInfo
from sqlalchemy.dialects import registry

import flagstone
from flagstone import environment

environment.complete()
# What DATABASE_URL begins with has one driver here; SQLAlchemy would take psycopg 3 for it.
registry.register("postgresql", "sqlalchemy.dialects.postgresql.psycopg2", "dialect")
app = ScriptInfo(os.environ.get("APP_MODULE") or "app").load_app()
if "flagstone" not in app.extensions:  # it knows nothing of the platform
    flagstone.init_app(app)
