"""The application. create_app() is its table of contents."""

from flask import Flask

import flagstone
from app import auth, notes, reports, status
from flagstone.config import BaseConfig


def create_app(settings: BaseConfig | None = None) -> Flask:
    app = Flask(__name__)
    flagstone.init_app(app, settings)
    status.init_app(app)
    auth.init_app(app)
    notes.init_app(app)
    reports.init_app(app)
    return app
