"""Errors to Sentry, where SENTRY_DSN is set. Events wait in a queue, and a greenlet of its own sends them: no request
waits for Sentry, and what it does not take is dropped."""

from typing import Any

from flask import Flask

from app.log import redact
from app.request_id import context


def init_app(app: Flask) -> None:
    if not app.config["SENTRY_DSN"]:
        return
    import sentry_sdk  # here, because it takes memory that nobody else needs

    sentry_sdk.init(
        dsn=app.config["SENTRY_DSN"],
        release=app.config["RELEASE"],
        environment=app.config["APP_ENV"],
        traces_sample_rate=app.config["SENTRY_TRACES_SAMPLE_RATE"],
        send_default_pii=False,
        # What users sent stays here: bodies, and the local variables that hold parts of them.
        max_request_body_size="never",
        include_local_variables=False,
        before_send=finish,
        before_send_transaction=finish,
    )


def finish(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Add whose request it is, and take out what no log may show either."""
    found = context()
    if "request_id" in found:
        event["tags"] = {**event.get("tags", {}), "request_id": found["request_id"]}
    if "user" in found:
        event["user"] = {"id": found["user"]}
    return redact(event)
