"""Tokens over HTTP, and the keys to verify them with."""

from flask import Blueprint, abort, current_app
from flask.typing import ResponseReturnValue

from app.auth import sign_ins, tokens
from app.auth.current import current_user, login_required
from app.auth.model import authenticate
from flagstone.validation import read_body

blueprint = Blueprint("tokens", __name__)


@blueprint.post("/api/token")
def create() -> ResponseReturnValue:
    user = authenticate(read_body()) or abort(401, "No user has this address and password.")
    return tokens.first_pair(user), {"Cache-Control": "no-store"}


@blueprint.post("/api/token/refresh")
def refresh() -> ResponseReturnValue:
    return tokens.next_pair(), {"Cache-Control": "no-store"}


@blueprint.post("/api/token/revoke")
def revoke() -> ResponseReturnValue:
    """The token that is sent, of either kind, and its whole family."""
    sign_in, _ = tokens.bearer("access", "refresh")
    sign_ins.end(sign_in)
    return "", 204


@blueprint.get("/api/whoami")
@login_required
def whoami() -> ResponseReturnValue:
    user = current_user()
    return {"id": user.id, "email": user.email}


@blueprint.get("/.well-known/jwks.json")
def jwks() -> ResponseReturnValue:
    return current_app.extensions["keys"].jwks()
