"""Tokens over HTTP, and the keys to verify them with."""

from typing import Any

from flask import Blueprint, abort, current_app
from flask.typing import ResponseReturnValue
from flask_jwt_extended import create_access_token, create_refresh_token, get_jwt

from app.auth import tokens
from app.auth.current import current_user, login_required
from app.auth.model import User, authenticate
from app.validation import read_body

blueprint = Blueprint("tokens", __name__)


def token_response(user: User, **more: str) -> dict[str, Any]:
    """RFC 6749, 5.1."""
    expires = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    return {"access_token": create_access_token(user), "token_type": "Bearer", "expires_in": expires, **more}


@blueprint.post("/api/token")
def create() -> ResponseReturnValue:
    user = authenticate(read_body()) or abort(401, "No user has this address and password.")
    return token_response(user, refresh_token=create_refresh_token(user)), {"Cache-Control": "no-store"}


@blueprint.post("/api/token/refresh")
def refresh() -> ResponseReturnValue:
    return token_response(tokens.bearer(refresh=True)), {"Cache-Control": "no-store"}


@blueprint.post("/api/token/revoke")
def revoke() -> ResponseReturnValue:
    """The token that is sent, of either kind."""
    tokens.bearer(verify_type=False)
    tokens.revoke(get_jwt())
    return "", 204


@blueprint.get("/api/whoami")
@login_required
def whoami() -> ResponseReturnValue:
    user = current_user()
    return {"id": user.id, "email": user.email}


@blueprint.get("/.well-known/jwks.json")
def jwks() -> ResponseReturnValue:
    return current_app.extensions["keys"].jwks()
