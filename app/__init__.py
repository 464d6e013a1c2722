"""The Flask app. create_app() is its table of contents."""

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.utils import import_string

from app import cache, config, csrf, database, errors, health, log, status


def create_app(settings: config.BaseConfig | None = None) -> Flask:
    app = Flask(__name__)
    app.config.from_object(settings or config.load())

    log.init_app(app)
    errors.init_app(app)
    csrf.init_app(app)
    database.init_app(app)
    cache.init_app(app)

    app.jinja_env.globals["navigation"] = [("status.index", "Status")]
    app.register_blueprint(health.blueprint)
    app.register_blueprint(status.blueprint)
    # The demo. To be rid of it delete this line, the folder app/notes and its migration.
    import_string("app.notes:init_app")(app)

    if hops := app.config["PROXY_HOPS"]:
        # Just the headers that nginx sets: whatever else a client sends stays untrusted.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)
    return app
