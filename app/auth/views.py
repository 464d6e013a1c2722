"""Accounts as pages: sign in and out, sign up, another password."""

from flask import Blueprint, abort, current_app, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.auth import links, passwords
from app.auth.current import begin_session, current_user, end_session, login_required
from app.auth.model import ADDRESS, ASKED, LIMITS, authenticate, change_password, create_user, sign_out_everywhere
from flagstone.errors import InvalidInput
from flagstone.redirects import local_target
from flagstone.validation import read_fields

blueprint = Blueprint("auth", __name__, template_folder="templates")

# The fields of each form, by what a browser may fill in.
EMAIL, OLD, NEW = {"email": "username"}, {"old_password": "current-password"}, {"password": "new-password"}
FORMS = {
    "login": ("Sign in", EMAIL | {"password": "current-password"}),
    "register": ("Sign up", EMAIL | NEW),
    "forgot": ("Forgotten password", EMAIL),
    "reset": ("New password", NEW),
    "account": ("Account", OLD | NEW),
}
MAILED = "A mail is on its way to this address. Its link is good for an hour."
NO_GOOD = "This link was used before, or is older than an hour. Ask for a new one."


@blueprint.get("/login", endpoint="login")
@blueprint.get("/register", endpoint="register")
@blueprint.get("/forgot", endpoint="forgot")
def show_form(faults: dict[str, str] | None = None) -> str:
    """That of the page whose address this is."""
    form = request.url_rule.rule.rpartition("/")[2]
    title, fields = FORMS[form]
    if form == "register" and links.available():
        fields = EMAIL
    options = {"form": form, "title": title, "fields": fields, "mail": links.available(), "user": g.get("user")}
    return render_template("auth/form.html", limits=LIMITS, faults=faults or {}, **options)


@blueprint.errorhandler(InvalidInput)
def show_faults(error: InvalidInput) -> ResponseReturnValue:
    return show_form(error.fields), error.code


@blueprint.post("/login")
def log_in() -> ResponseReturnValue:
    user = authenticate(request.form.to_dict())
    if user is None:
        raise InvalidInput({"password": "no user has this address and password"})
    begin_session(user)
    return redirect(next_page(), 303)


@blueprint.post("/register")
def create_account() -> ResponseReturnValue:
    """Where mail is sent, by its owner: so no answer tells who has an account."""
    if not current_app.config["REGISTRATION"]:
        abort(403, "New users are made by this site's operator.")
    if links.available():
        return mail_link("register")
    begin_session(create_user(request.form.to_dict()))
    return redirect(next_page(), 303)


@blueprint.post("/forgot")
def ask_for_link() -> ResponseReturnValue:
    if not links.available():
        abort(403, "This site sends no mail. Its operator can set a new password.")
    return mail_link("forgot")


def mail_link(reason: str) -> ResponseReturnValue:
    links.request_link(read_fields(request.form.to_dict(), {"email": ADDRESS})["email"], reason)
    flash(MAILED)
    return redirect(url_for(".login"), 303)


@blueprint.get("/reset")
def reset() -> ResponseReturnValue:
    return show_form() if links.read(request.args.get("token", "")) else abort(410, NO_GOOD)


@blueprint.post("/reset")
def choose_password() -> ResponseReturnValue:
    if not links.choose_password(request.args.get("token", ""), request.form.to_dict()):
        abort(410, NO_GOOD)
    flash("The password is set. Sign in with it.")
    return redirect(url_for(".login"), 303)


@blueprint.get("/account")
@login_required
def account() -> ResponseReturnValue:
    return show_form()


@blueprint.post("/account")
@login_required
def replace_password() -> ResponseReturnValue:
    user = current_user()
    fields = read_fields(request.form.to_dict(), {"old_password": ASKED["password"], "password": LIMITS["password"]})
    if not passwords.matches(user.password_hash, fields["old_password"]):
        raise InvalidInput({"old_password": "this is not your password"})
    if changed := change_password(user, fields["password"]):
        begin_session(changed)
        flash("The password is changed. Everywhere else you are signed out.")
    return redirect(url_for(".account"), 303)


@blueprint.post("/logout")
def log_out() -> ResponseReturnValue:
    """Here; or everywhere, tokens included."""
    user = current_user()
    end_session()
    if user and "everywhere" in request.form:
        sign_out_everywhere(user)
    return redirect(url_for("status.index"), 303)


def next_page() -> str:
    """Where the user wanted to go, if that is a page of this site."""
    return local_target(request.args.get("next", "")) or url_for("status.index")
