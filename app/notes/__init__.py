"""The demo feature, whole in this folder: a model, its pages and its JSON API."""

from flask import Flask

from app.notes import api, views


def init_app(app: Flask) -> None:
    app.register_blueprint(api.blueprint)
    app.register_blueprint(views.blueprint)
    app.jinja_env.globals["navigation"].append(("notes.index", "Notes"))
