"""Users, and how they say who they are: app.auth.current is what other parts need of it."""

from flask import Flask

from app.auth import api, cli, current, tokens, views
from app.auth.openapi import PATHS
from flagstone.openapi import describe


def init_app(app: Flask) -> None:
    current.init_app(app)
    tokens.init_app(app)
    app.register_blueprint(api.blueprint)
    describe(app, PATHS)
    app.register_blueprint(views.blueprint)
    app.cli.add_command(cli.user)
