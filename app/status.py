"""The front page: the release, the state of its services, and what the app knows about the client. Yours to replace."""

from flask import Blueprint, render_template

from app.cache import cache_backend, cache_state
from app.database import database_state
from app.extensions import db

blueprint = Blueprint("status", __name__)


@blueprint.get("/")
def index() -> str:
    return render_template(
        "status.html",
        database={"state": database_state(), "backend": db.engine.name},
        cache={"state": cache_state(), "backend": cache_backend()},
    )
