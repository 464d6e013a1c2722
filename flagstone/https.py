"""FORCE_HTTPS: for an app without our nginx in front, which redirects by itself."""

from flask import Flask, redirect, request
from werkzeug import Response


def init_app(app: Flask) -> None:
    if app.config["FORCE_HTTPS"]:
        app.before_request(redirect_to_https)


def redirect_to_https() -> Response | None:
    """308, which keeps method and body. Not for health checks and Prometheus, which come from inside by http."""
    if request.is_secure or request.blueprint == "flagstone_health" or request.path == "/metrics":
        return None
    return redirect(request.url.replace("http:", "https:", 1), 308)
