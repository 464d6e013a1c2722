"""Who asks: a person with a session cookie, or a program with a token. Views need nothing else of this folder."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import g, redirect, request, session, url_for
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from app.auth import tokens
from app.auth.model import User, get_user
from app.redirects import local_target


def current_user() -> User | None:
    """Whoever signed in. A token that is not good is an error, not a stranger: Unauthorized says what is wrong."""
    if "user" not in g:
        if "Authorization" in request.headers:
            g.user = tokens.bearer()
        else:
            g.user = get_user(session.get("user"))
    return g.user


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
