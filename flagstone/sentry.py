"""Errors to Sentry, where SENTRY_DSN is set. Events wait in a queue, and a greenlet of its own sends them: no request
waits for Sentry, and what it does not take is dropped."""

from typing import Any

from flask import Flask

from flagstone.log import redact
from flagstone.log_context import log_context, request_id


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
    # A transaction ends after its request, when nothing here knows the id any more.
    app.before_request(lambda: sentry_sdk.set_tag("request_id", request_id()))


def finish(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Add the ids of the request and its user, and mask what no log may show."""
    found = log_context()
    if user := found.pop("user", None):
        event["user"] = {"id": user}
    event["tags"] = event.get("tags", {}) | found
    return redact(event)
