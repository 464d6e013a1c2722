"""Liveness and readiness, for Docker, load balancers and people."""

from flask import Blueprint, Flask, current_app
from flask.typing import ResponseReturnValue

from flagstone.cache import cache_state
from flagstone.database import database_state

blueprint = Blueprint("flagstone_health", __name__, url_prefix="/health")


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)


@blueprint.get("/live")
def live() -> ResponseReturnValue:
    """This process serves. Asks nothing else: a restart of it would not bring a database back."""
    return {"status": "ok"}


@blueprint.get("")
def ready() -> ResponseReturnValue:
    """What the app needs is there. It works without a cache, if slower; not without a database.

    Busy is no reason to take this instance out of rotation: the others would have its load as well.
    """
    database, cache = database_state(), cache_state()
    status = "unavailable" if database == "unavailable" else "ok" if database == cache == "ok" else "degraded"
    body = {"status": status, "database": database, "cache": cache, "release": current_app.config["RELEASE"]}
    return body, 503 if status == "unavailable" else 200
