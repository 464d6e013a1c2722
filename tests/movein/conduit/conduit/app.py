"""The app module, containing the app factory function."""

from flask import Flask

from conduit import articles, user
from conduit.exceptions import InvalidUsage, handle_not_found, handle_validation_error
from conduit.extensions import bcrypt, cache, cors, db, jwt, migrate
from conduit.settings import ProdConfig


def create_app(config_object=ProdConfig):
    """An application factory."""
    app = Flask(__name__.split(".")[0])
    app.url_map.strict_slashes = False
    app.config.from_object(config_object)
    register_extensions(app)
    register_blueprints(app)
    register_errorhandlers(app)
    register_shellcontext(app)
    return app


def register_extensions(app):
    bcrypt.init_app(app)
    cache.init_app(app)
    db.init_app(app)
    migrate.init_app(app, db)
    jwt.init_app(app)
    cors.init_app(app, resources={r"/api/*": {"origins": app.config["CORS_ORIGIN_WHITELIST"]}})


def register_blueprints(app):
    app.register_blueprint(user.views.blueprint)
    app.register_blueprint(articles.views.blueprint)


def register_errorhandlers(app):
    app.errorhandler(InvalidUsage)(InvalidUsage.to_json)
    app.errorhandler(422)(handle_validation_error)
    app.errorhandler(404)(handle_not_found)


def register_shellcontext(app):
    app.shell_context_processor(lambda: {"db": db, "User": user.models.User, "Article": articles.models.Article})
