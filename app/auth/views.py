"""Sign in, sign up, sign out, as pages. The session cookie holds the user's id, signed with SECRET_KEY."""

from flask import Blueprint, abort, current_app, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from app.auth.model import LIMITS, User, authenticate, create_user
from app.errors import InvalidInput
from app.redirects import local_target

blueprint = Blueprint("auth", __name__, template_folder="templates")


@blueprint.get("/login")
def login() -> ResponseReturnValue:
    return show_form("login")


@blueprint.post("/login")
def create_session() -> ResponseReturnValue:
    try:
        user = authenticate(request.form.to_dict())
        faults = {} if user else {"password": "no user has this address and password"}
    except InvalidInput as error:
        user, faults = None, error.fields
    return sign_in(user) if user else (show_form("login", faults), 400)


@blueprint.get("/register")
def register() -> ResponseReturnValue:
    return show_form("register")


@blueprint.post("/register")
def create_account() -> ResponseReturnValue:
    if not current_app.config["REGISTRATION"]:
        abort(403, "New users are made by this site's operator.")
    try:
        return sign_in(create_user(request.form.to_dict()))
    except InvalidInput as error:
        return show_form("register", error.fields), 400


@blueprint.post("/logout")
def end_session() -> ResponseReturnValue:
    session.clear()
    return redirect(url_for("status.index"), 303)


def sign_in(user: User) -> ResponseReturnValue:
    session.clear()  # nothing of a stranger's session goes on
    session["user"] = user.id
    return redirect(local_target(request.args.get("next", "")) or url_for("status.index"), 303)


def show_form(action: str, faults: dict[str, str] | None = None) -> str:
    return render_template("auth/form.html", action=action, limits=LIMITS, faults=faults or {})
