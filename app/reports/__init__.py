"""The demo of background work, whole in this folder: a report on all notes that takes its time."""

from flask import Flask

from app.openapi import describe
from app.reports import api, views
from app.reports.openapi import PATHS


def init_app(app: Flask) -> None:
    app.register_blueprint(api.blueprint)
    describe(app, PATHS)
    app.register_blueprint(views.blueprint)
    app.jinja_env.globals["navigation"].append(("reports.index", "Reports"))
