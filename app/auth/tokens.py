"""Tokens for programs: JSON Web Tokens (RFC 7519), signed with RS256, so that others can verify and not make them."""

import time
from typing import Any

from flask import Flask, current_app
from flask_jwt_extended import JWTManager, get_current_user, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import InvalidTokenError
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import ServiceUnavailable, Unauthorized

from app.auth import keys
from app.auth.model import User
from app.cache import REDIS_GONE, redis_client
from app.extensions import cache, db

# No key of it expires: Redis may evict what does, and a revoked token would be good again.
REVOKED = "revoked-tokens"


def init_app(app: Flask) -> None:
    ours = app.extensions["keys"] = keys.load(app.config)
    issuer, audience = app.config["JWT_ISSUER"], app.config["JWT_AUDIENCE"]
    app.config |= {
        "JWT_ALGORITHM": "RS256",  # and no other: "none", or the public key as an HMAC secret, is refused by it
        "JWT_ENCODE_ISSUER": issuer,
        "JWT_DECODE_ISSUER": issuer,
        "JWT_ENCODE_AUDIENCE": audience,
        "JWT_DECODE_AUDIENCE": audience,
    }
    jwt = JWTManager(app)
    jwt.encode_key_loader(lambda identity: ours.private)
    jwt.additional_headers_loader(lambda identity: {"kid": ours.kid})
    jwt.decode_key_loader(lambda header, payload: ours.public.get(header.get("kid")) or ours.private.public_key())
    jwt.user_identity_loader(lambda user: str(user.id))
    jwt.user_lookup_loader(lambda header, payload: db.session.get(User, int(payload["sub"])))
    jwt.token_in_blocklist_loader(lambda header, payload: is_revoked(payload["jti"]))


def bearer(**options: Any) -> User:
    """The user that the token of this request is for."""
    try:
        verify_jwt_in_request(**options)
        return get_current_user()
    except (JWTExtendedException, InvalidTokenError) as error:
        raise Unauthorized(f"This token is not good: {error}.", www_authenticate=WWWAuthenticate("bearer")) from None
    except REDIS_GONE as error:
        current_app.logger.error("Whether a token is revoked is not known: %s", error)
        raise ServiceUnavailable("Tokens can not be checked now, please try again.", retry_after=5) from None


def revoke(token: dict[str, Any]) -> None:
    if redis := redis_client():
        redis.zremrangebyscore(REVOKED, "-inf", time.time())  # expired by itself
        redis.zadd(REVOKED, {token["jti"]: token["exp"]})
    else:
        cache.set(f"revoked {token['jti']}", True, timeout=int(token["exp"] - time.time()) + 1)


def is_revoked(jti: str) -> bool:
    if redis := redis_client():
        return redis.zscore(REVOKED, jti) is not None
    return bool(cache.get(f"revoked {jti}"))
