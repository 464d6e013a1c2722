"""The platform: what a Flask application needs to run in this stack. init_app() is its table of contents.

A fork keeps this package as it is and replaces app/. Nothing here imports the application.
"""

from functools import lru_cache
from logging import StreamHandler
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from flagstone.config import BaseConfig


def init_app(app: Flask, settings: BaseConfig | None = None) -> None:
    """Put the application on the platform: when its own extensions, routes and error handlers are there, which stay.

    The parts that WITHOUT names are left out.
    """
    # Imported here: gunicorn's master process and beat need other modules of this package, and no Flask.
    from flagstone import (
        background,
        cache,
        config,
        cors,
        csp,
        csrf,
        database,
        edge,
        errors,
        health,
        https,
        log,
        log_context,
        mail,
        metrics,
        migrate,
        openapi,
        ops,
        proxy,
        sentry,
        sessions,
        slow_statements,
        static_files,
        streams,
        uploads,
        validation,
    )

    settings = settings or config.load()
    app.extensions["flagstone"] = settings
    config.apply(settings, app)
    log.configure(settings, log_context.log_context)
    # What the application writes to the terminal by itself would stand there twice.
    app.logger.handlers = [handler for handler in app.logger.handlers if type(handler) is not StreamHandler]
    for part in (
        sentry,
        log_context,
        edge,
        errors,
        validation,
        https,
        csrf,
        cors,
        sessions,
        static_files,
        streams,
        database,
        slow_statements,
        migrate,
        cache,
        csp,
        uploads,
        openapi,
        metrics,
        ops,
        background,
        mail,
        health,
        proxy,
    ):
        if part.__name__.removeprefix("flagstone.") not in settings.WITHOUT:
            part.init_app(app)
    # Asked about each hook of each request whether it is asynchronous, which takes longer than most of them. Of those
    # that are made for one request a few stay in memory.
    app.ensure_sync = lru_cache(maxsize=256)(app.ensure_sync)
