"""Who asks: a person with a session cookie, or a program with a token. Views need nothing else of this folder."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Flask, Response, current_app, g, redirect, request, session, url_for
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from app.auth import sign_ins, tokens
from app.auth.model import User
from app.auth.sign_ins import SignIn
from flagstone.redirects import local_target


def init_app(app: Flask) -> None:
    app.config["PERMANENT_SESSION_LIFETIME"] = app.config["SESSION_IDLE"]  # Flask's name for it
    app.after_request(keep_private)


def current_user() -> User | None:
    """Whoever signed in. A token that is not good is an error, not a stranger: Unauthorized says what is wrong."""
    sign_in = current_sign_in()
    return sign_in and sign_in.user


def current_sign_in() -> SignIn | None:
    if "sign_in" not in g:
        g.sign_in = from_cookie() if tokens.sent_token() is None else tokens.bearer("access")[0]
        g.user = g.sign_in and g.sign_in.user
    return g.sign_in


def from_cookie() -> SignIn | None:
    if "user" not in session:
        return None
    sign_in = sign_ins.find(session.get("sign_in"))
    if sign_in is None:
        session.clear()  # it has ended elsewhere
    elif time.time() - session["seen"] > current_app.config["SESSION_IDLE"] / 10:
        session["seen"] = time.time()  # which signs the cookie anew, for another SESSION_IDLE
    return sign_in


def begin_session(user: User) -> None:
    """A session for whoever sent this request."""
    session.clear()  # nothing of a stranger's session goes on
    key = sign_ins.begin(user, current_app.config["SESSION_LIFETIME"]).hex
    session.update({"user": user.id, "sign_in": key, "seen": time.time()})
    g.sign_in = sign_ins.find(key)


def end_session() -> None:
    if found := current_sign_in():
        sign_ins.end(found)
    session.clear()


def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if current_user():
            return view(*args, **kwargs)
        if request.path.startswith("/api/"):
            raise Unauthorized("Sign in, or send a token.", www_authenticate=WWWAuthenticate("bearer"))
        page = local_target(request.full_path) if request.method == "GET" else None
        return redirect(url_for("auth.login", next=page), 303)

    return guarded


def keep_private(response: Response) -> Response:
    """What is for one person stays in no cache, unless the view says otherwise."""
    private = current_app.config["SESSION_COOKIE_NAME"] in request.cookies or "Authorization" in request.headers
    if private or g.get("sign_in"):
        response.headers.setdefault("Cache-Control", "private, no-store")
    if private or "sign_in" in g:  # or it was asked who it is
        response.vary.update(("Cookie", "Authorization"))
    return response
