"""The reports as a page; app/static/reports.js moves its bars."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app.auth.current import current_user, login_required
from app.reports.model import list_reports
from app.reports.tasks import order_report

blueprint = Blueprint("reports", __name__, url_prefix="/reports", template_folder="templates")


@blueprint.get("")
@login_required
def index() -> ResponseReturnValue:
    return render_template("reports/index.html", reports=list_reports(current_user()))


@blueprint.post("")
@login_required
def create() -> ResponseReturnValue:
    order_report(current_user())
    return redirect(url_for(".index"), 303)
