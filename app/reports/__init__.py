"""The demo of background work, whole in this folder: a report on all notes that takes its time."""

from flask import Flask

from app.reports import api, views
from app.reports.openapi import PATHS
from flagstone.openapi import describe


def init_app(app: Flask) -> None:
    app.register_blueprint(api.blueprint)
    describe(app, PATHS)
    app.register_blueprint(views.blueprint)
    app.jinja_env.globals["navigation"].append(("reports.index", "Reports"))
