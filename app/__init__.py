"""The Flask app. create_app() is its table of contents."""

from flask import Flask
from werkzeug.utils import import_string

from app import config


def create_app(settings: config.BaseConfig | None = None) -> Flask:
    # Imported here, so that beat, which needs none of them, does not pay for them in memory.
    from app import (
        auth,
        background,
        cache,
        cors,
        csrf,
        database,
        errors,
        health,
        https,
        log,
        log_context,
        mail,
        metrics,
        openapi,
        proxy,
        sentry,
        static_files,
        status,
        streams,
        uploads,
        validation,
    )

    app = Flask(__name__)
    settings = settings or config.load()
    app.config.from_object(settings)

    log.configure(settings, log_context.log_context)
    sentry.init_app(app)
    log_context.init_app(app)
    errors.init_app(app)
    validation.init_app(app)
    https.init_app(app)
    csrf.init_app(app)
    cors.init_app(app)
    static_files.init_app(app)
    streams.init_app(app)
    database.init_app(app)
    cache.init_app(app)
    uploads.init_app(app)
    openapi.init_app(app)
    metrics.init_app(app)
    auth.init_app(app)
    background.init_app(app)
    mail.init_app(app)

    app.jinja_env.globals["navigation"] = [("status.index", "Status")]
    app.register_blueprint(health.blueprint)
    app.register_blueprint(status.blueprint)
    # The demo. To drop a part, delete its line and its folder; README says what to do about its table.
    import_string("app.notes:init_app")(app)
    import_string("app.reports:init_app")(app)

    proxy.init_app(app)
    return app
