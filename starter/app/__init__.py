"""The application. create_app() is its table of contents."""

from flask import Flask

import flagstone
from flagstone.config import BaseConfig

from . import status


def create_app(settings: BaseConfig | None = None) -> Flask:
    app = Flask(__name__)
    flagstone.init_app(app, settings)
    status.init_app(app)
    return app
