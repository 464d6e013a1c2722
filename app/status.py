"""The front page: the release, the state of its services, and what the app knows about the client. Yours to replace."""

from flask import Blueprint, Flask, render_template

from flagstone.cache import cache_backend, cache_state
from flagstone.database import database_state
from flagstone.extensions import db

blueprint = Blueprint("status", __name__)


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)
    app.jinja_env.globals["navigation"] = [("status.index", "Status")]


@blueprint.get("/")
def index() -> str:
    return render_template(
        "status.html",
        database={"state": database_state(), "backend": db.engine.name},
        cache={"state": cache_state(), "backend": cache_backend()},
    )
