"""The application of the tests: as much of one as it takes to see what the platform promises to any.

In the stacks under test it is app/ (tests/conftest.py), in Python it is tests.probe, so its own imports are relative.
"""

from flask import Flask

import flagstone
from flagstone.config import BaseConfig

from . import items, jobs, public, views


def create_app(settings: BaseConfig | None = None) -> Flask:
    app = Flask(__name__)
    flagstone.init_app(app, settings)
    for part in (views, items, jobs, public):
        app.register_blueprint(part.blueprint)
    return app
