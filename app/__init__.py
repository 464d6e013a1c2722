"""The Flask app. create_app() is its table of contents."""

from typing import TYPE_CHECKING

from app import config

if TYPE_CHECKING:
    from flask import Flask


def create_app(settings: config.BaseConfig | None = None) -> Flask:
    # Not before: beat imports parts of this package, and would pay for the others with its memory.
    from flask import Flask
    from werkzeug.utils import import_string

    from app import auth, background, cache, csrf, database, errors, health, log, mail, openapi, proxy, status, uploads
    from app import validation

    app = Flask(__name__)
    app.config.from_object(settings or config.load())

    log.init_app(app)
    errors.init_app(app)
    validation.init_app(app)
    csrf.init_app(app)
    database.init_app(app)
    cache.init_app(app)
    uploads.init_app(app)
    openapi.init_app(app)
    auth.init_app(app)
    background.init_app(app)
    mail.init_app(app)

    app.jinja_env.globals["navigation"] = [("status.index", "Status")]
    app.register_blueprint(health.blueprint)
    app.register_blueprint(status.blueprint)
    # The demo. To be rid of a part delete its line and its folder; README says what of its table.
    import_string("app.notes:init_app")(app)
    import_string("app.reports:init_app")(app)

    proxy.init_app(app)
    return app
