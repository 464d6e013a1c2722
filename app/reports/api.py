"""The reports as JSON: order one, ask how far it is, download it."""

from uuid import UUID

from flask import Blueprint, Response, abort, request, url_for
from flask.typing import ResponseReturnValue

from app.auth.current import current_user, login_required
from app.reports.model import get_report
from app.reports.tasks import order_report
from flagstone.errors import InvalidInput
from flagstone.validation import read_body

blueprint = Blueprint("reports_api", __name__, url_prefix="/api/reports")


@blueprint.post("")
@login_required
def create() -> ResponseReturnValue:
    if request.get_data() and (fields := read_body()) != {}:
        raise InvalidInput(dict.fromkeys(fields, "unknown field") if isinstance(fields, dict) else {})
    report = order_report(current_user())
    status = url_for(".show", report_id=report.id, _external=True)
    return {**report.as_dict(), "status": status}, 202, {"Location": status}


@blueprint.get("/<uuid:report_id>")
@login_required
def show(report_id: UUID) -> ResponseReturnValue:
    return get_report(current_user(), report_id).as_dict(), {"Cache-Control": "no-store"}


@blueprint.get("/<uuid:report_id>/download")
@login_required
def download(report_id: UUID) -> ResponseReturnValue:
    report = get_report(current_user(), report_id)
    if report.state != "done":
        abort(409, "This report is not done.")
    headers = {"Content-Disposition": f"attachment; filename=notes-{report.finished_at:%Y-%m-%d}.csv"}
    return Response(report.content, mimetype="text/csv", headers=headers)
