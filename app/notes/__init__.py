"""The demo feature, whole in this folder: a model, its pages, its JSON API and a command."""

from flask import Flask

from app.notes import api, cli, views
from app.notes.openapi import PATHS
from flagstone.openapi import describe


def init_app(app: Flask) -> None:
    app.register_blueprint(api.blueprint)
    describe(app, PATHS)
    app.register_blueprint(views.blueprint)
    app.cli.add_command(cli.notes)
    app.jinja_env.globals["navigation"].append(("notes.index", "Notes"))
