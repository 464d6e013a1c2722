"""What app/auth/api.py takes and answers."""

from app.auth.model import ASKED
from flagstone.openapi import SIGNED_IN, TOKEN, json_body, operation

TOKENS = {
    "type": "object",
    "required": ["access_token", "refresh_token", "token_type", "expires_in"],
    "properties": {
        "access_token": {"type": "string"},
        "refresh_token": {"type": "string"},
        "token_type": {"const": "Bearer"},
        "expires_in": {"type": "integer"},
    },
}
USER = {
    "type": "object",
    "required": ["id", "email"],
    "properties": {"id": {"type": "integer"}, "email": {"type": "string"}},
}

PATHS = {
    "/api/token": {
        "post": operation(
            "Tokens for an address and a password", {200: TOKENS}, 400, 401, 413, 415, body=json_body(ASKED)
        )
    },
    "/api/token/refresh": {
        "post": operation("New tokens for a refresh token, which is then used up", {200: TOKENS}, 401, security=TOKEN)
    },
    "/api/token/revoke": {
        "post": operation("End the token that is sent, and all others of its sign-in", {204: None}, 401, security=TOKEN)
    },
    "/api/whoami": {"get": operation("Who you are", {200: USER}, 401, security=SIGNED_IN)},
}
