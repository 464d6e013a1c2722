"""The reports as a page; app/static/reports.js moves its bars."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app.reports.model import list_reports
from app.reports.tasks import order_report

blueprint = Blueprint("reports", __name__, url_prefix="/reports", template_folder="templates")


@blueprint.get("")
def index() -> ResponseReturnValue:
    return render_template("reports/index.html", reports=list_reports())


@blueprint.post("")
def create() -> ResponseReturnValue:
    order_report()
    return redirect(url_for(".index"), 303)
