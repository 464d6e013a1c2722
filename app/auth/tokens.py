"""Tokens for programs: JSON Web Tokens (RFC 7519), signed with RS256, so that others can verify and not make them.

Those of one sign-in are a family: access tokens, and refresh tokens that are good once, for the next of both. When one
comes a second time it was stolen, and the family ends (RFC 9700, 4.14).
"""

from typing import Any
from uuid import uuid4

from flask import Flask, current_app, request
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import InvalidTokenError
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from app.auth import keys, sign_ins
from app.auth.model import User
from app.auth.sign_ins import SignIn

# What libraries raise over odd claims, even of tokens that we signed, and over odd headers.
NOT_GOOD = (JWTExtendedException, InvalidTokenError, ValueError, TypeError, KeyError, OverflowError, RecursionError)


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
    # For views of yours that use the library's @jwt_required().
    jwt.token_in_blocklist_loader(lambda header, claims: sign_in_of(claims) is None)
    jwt.user_lookup_loader(lambda header, claims: sign_in_of(claims).user)


def first_pair(user: User) -> dict[str, Any]:
    """The tokens of a new sign-in."""
    jti = str(uuid4())
    key = sign_ins.begin(user, current_app.config["JWT_REFRESH_TOKEN_EXPIRES"], jti)
    return pair(user, sid=str(key), jti=jti)


def next_pair() -> dict[str, Any]:
    """The tokens for the refresh token of this request, which is used up."""
    sign_in, claims = bearer("refresh")
    user, jti = sign_in.user, str(uuid4())
    if not sign_ins.rotate(sign_in, claims["jti"], jti):
        current_app.logger.warning("A refresh token was used twice, its family has ended")
        raise no_good("it was used before")
    return pair(user, sid=claims["sid"], jti=jti, exp=claims["exp"])  # a family lives as long as its first token


def pair(user: User, sid: str, **of_refresh_token: Any) -> dict[str, Any]:
    """RFC 6749, 5.1."""
    return {
        "access_token": create_access_token(user, additional_claims={"sid": sid}),
        "refresh_token": create_refresh_token(user, additional_claims={"sid": sid, **of_refresh_token}),
        "token_type": "Bearer",
        "expires_in": current_app.config["JWT_ACCESS_TOKEN_EXPIRES"],
    }


def sent_token() -> str | None:
    """That of this request. Other schemes than Bearer are for whoever stands in front of us, such as basic auth."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None  # in any case: RFC 9110, 11.1


def bearer(*kinds: str) -> tuple[SignIn, dict[str, Any]]:
    """The sign-in of this request's token, and its claims."""
    try:
        claims = decode_token(sent_token() or "")
        sign_in = sign_in_of(claims)
    except NOT_GOOD as error:
        raise no_good(error) from None
    if claims["type"] not in kinds:
        raise no_good(f"expected one of type {' or '.join(kinds)}")
    if sign_in is None:
        raise no_good("it has ended")
    return sign_in, claims


def sign_in_of(claims: dict[str, Any]) -> SignIn | None:
    """KeyError where a claim is missing that all of ours have."""
    sign_in = sign_ins.find(claims["sid"]) if claims["exp"] and claims["jti"] else None
    return sign_in if sign_in and str(sign_in.user_id) == claims["sub"] else None


def no_good(reason: object) -> Unauthorized:
    return Unauthorized(f"This token is not good: {reason}.", www_authenticate=WWWAuthenticate("bearer"))
