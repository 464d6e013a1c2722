"""What a log line belongs to: the id of its request and of its user. nginx gets both in headers, for its own lines."""

import re
import uuid

from flask import Flask, Response, current_app, g, has_app_context, has_request_context, request
from sqlalchemy import inspect


def init_app(app: Flask) -> None:
    app.jinja_env.globals["request_id"] = request_id
    app.after_request(tell_proxy)


def request_id() -> str:
    """The id that the proxy gave this request, so that its log and ours meet; without a proxy one of our own."""
    if "request_id" not in g:
        given = request.headers.get("X-Request-ID", "") if current_app.config["PROXY_HOPS"] else ""
        # It goes into the log: nothing but an id may pass.
        g.request_id = given if re.fullmatch(r"[0-9a-fA-F-]{16,64}", given) else uuid.uuid4().hex
    return g.request_id


def user_id() -> str | None:
    """The id of g.user, if that is a row of the database. Never asks the database for it, not even after a commit."""
    identity = getattr(inspect(g.get("user"), raiseerr=False), "identity", None)
    return str(identity[0]) if identity else None


def log_context() -> dict[str, str]:
    """The fields of a log line. A background job sets g.request_id itself."""
    if not has_app_context():
        return {}
    found = {"request_id": request_id() if has_request_context() else g.get("request_id"), "user": user_id()}
    return {name: value for name, value in found.items() if value}


def tell_proxy(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id()
    if current_app.config["PROXY_HOPS"] and (user := user_id()):
        response.headers["X-User"] = user  # nginx keeps it to itself: nginx/site/proxy.conf
    return response
