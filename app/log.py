"""Log lines, each with the id of the request that it belongs to."""

import logging
import re
import uuid

from flask import Flask, Response, current_app, g, has_request_context, request

FORMAT = "%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s"


def init_app(app: Flask) -> None:
    handler = logging.StreamHandler()
    handler.addFilter(add_request_id)
    logging.basicConfig(level=app.config["LOG_LEVEL"].upper(), format=FORMAT, handlers=[handler])
    app.jinja_env.globals["request_id"] = request_id
    app.after_request(return_request_id)


def request_id() -> str:
    """The id that the proxy gave this request, so that its log and ours meet; without a proxy one of our own."""
    if "request_id" not in g:
        given = request.headers.get("X-Request-ID", "") if current_app.config["PROXY_HOPS"] else ""
        # It goes into the log: nothing but an id may pass.
        g.request_id = given if re.fullmatch(r"[0-9a-fA-F-]{16,64}", given) else uuid.uuid4().hex
    return g.request_id


def known_request_id() -> str | None:
    """The same in a task, which has the id of the request that queued it; None where there is neither."""
    return request_id() if has_request_context() or (g and "request_id" in g) else None


def return_request_id(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id()
    return response


def add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = known_request_id() or "-"
    return True
