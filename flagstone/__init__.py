"""The platform: what a Flask application needs to run in this stack. init_app() is its table of contents.

A fork keeps this package as it is and replaces app/. Nothing here imports the application.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from flagstone.config import BaseConfig


def init_app(app: Flask, settings: BaseConfig | None = None) -> None:
    # Imported here: gunicorn's master process and beat need other modules of this package, and no Flask.
    from flagstone import (
        background,
        cache,
        config,
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
        streams,
        uploads,
        validation,
    )

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
    background.init_app(app)
    mail.init_app(app)
    health.init_app(app)
    proxy.init_app(app)
