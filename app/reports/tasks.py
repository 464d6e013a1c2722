"""What the worker does for a report."""

import csv
import io
import logging
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from celery import current_app as queue
from celery import shared_task
from celery.signals import task_failure
from flask import current_app, url_for
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import TooManyRequests

from app.auth.model import User
from app.notes.model import Note
from app.reports.model import KEPT_MAX, UNFINISHED, UNFINISHED_MAX, Report
from flagstone.background import Task
from flagstone.broker import LAST, QUEUE_GONE, all_messages
from flagstone.database import transient
from flagstone.extensions import db
from flagstone.mail import send_mail

logger = logging.getLogger(__name__)

STEPS = 10
UNNOTICED = timedelta(minutes=1)  # within it a new report is certainly queued


def order_report(user: User) -> Report:
    """A new report, on its way to the worker. Raises QUEUE_GONE or TooManyRequests, and then there is none."""
    db.session.refresh(user, with_for_update={"key_share": True})  # two orders at once are counted one after the other
    own = Report.user_id == user.id
    unfinished = db.select(db.func.count()).where(own, Report.state.in_(UNFINISHED))
    if db.session.scalar(unfinished) >= UNFINISHED_MAX:
        raise TooManyRequests(f"{UNFINISHED_MAX} of your reports are not done yet. Wait for one.", retry_after=5)
    kept = db.select(Report.id).where(own).order_by(Report.created_at.desc()).limit(KEPT_MAX - 1)
    db.session.execute(db.delete(Report).where(own, Report.state.not_in(UNFINISHED), Report.id.not_in(kept)))
    report = Report(user_id=user.id)
    db.session.add(report)
    db.session.commit()  # before the worker looks for it
    try:
        queue_report(report.id, url_for("reports.index", _external=True))
    except QUEUE_GONE:
        db.session.delete(report)
        db.session.commit()
        raise
    return report


def queue_report(report_id: UUID, page: str | None = None) -> None:
    task_id = str(report_id)  # by which it is found in the queue
    write_report.apply_async((task_id, page), task_id=task_id, priority=LAST)


@shared_task(bind=True, max_retries=5)
def write_report(self: Task, report_id: str, page: str | None) -> None:
    report = db.session.get(Report, UUID(report_id))
    if report is None:  # deleted meanwhile, or the database was restored to a point before it
        logger.info("Report %s is not in the database, nothing to write", report_id)
        return
    if report.finished:  # delivered twice
        return
    report.state, report.progress = "running", 0
    try:
        content = write_csv(report)
        db.session.refresh(report, with_for_update=True)
        if report.finished:  # by another worker, to which it was delivered, too
            return
        report.content = content
        report.finish("done")
        with suppress(ValueError):  # an address that mail cannot reach
            where = f"at {page}" if page else "on the page of your reports"
            send_mail(report.user.email, "Your report is done", f"It can be downloaded {where}\n")
        db.session.commit()
    except SQLAlchemyError as error:
        if transient(error):
            raise self.retry(exc=error) from None
        raise


@shared_task
def queue_lost() -> None:
    """Queue again what no message is left of: whoever ordered it was killed before it was queued, or Redis lost it."""
    before = datetime.now(UTC) - UNNOTICED
    unfinished = db.select(Report.id).where(Report.state.in_(UNFINISHED), Report.created_at < before)
    if ids := list(db.session.scalars(unfinished)):
        messages = all_messages(current_app.extensions["redis"])
        for report_id in ids:
            if str(report_id).encode() not in messages:
                logger.warning("Report %s was lost, it is queued again", report_id)
                queue_report(report_id)


def write_csv(report: Report) -> str:
    """All notes, in steps; the progress of the report says how many are done."""
    file = io.StringIO()
    rows = csv.writer(file)
    rows.writerow(["id", "title", "body", "created_at"])
    ids = list(db.session.scalars(db.select(Note.id).order_by(Note.id)))
    for step in range(STEPS):
        part = ids[len(ids) * step // STEPS : len(ids) * (step + 1) // STEPS]
        for note in db.session.scalars(db.select(Note).where(Note.id.in_(part)).order_by(Note.id)):
            values = note.as_dict()
            rows.writerow([values["id"], as_text(values["title"]), as_text(values["body"]), values["created_at"]])
        time.sleep(current_app.config["REPORT_STEP_SECONDS"])
        report.progress = 100 * (step + 1) // STEPS
        db.session.commit()
    return file.getvalue()


def as_text(value: str) -> str:
    """Spreadsheets run what begins like a formula, and anybody may have written it."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


@task_failure.connect
def give_up(sender: Task, args: tuple, exception: Exception, **_: Any) -> None:
    """In the task's process after an exception; in the worker's first one when it killed that, or lost it."""
    if sender.name != write_report.name or transient(exception):  # then queue_lost() finds it
        return
    with queue.flask.app_context():
        report = db.session.get(Report, UUID(args[0]))
        if report and not report.finished:
            report.finish("failed")
            db.session.commit()


@shared_task
def delete_expired() -> None:
    before = datetime.now(UTC) - timedelta(seconds=current_app.config["REPORT_EXPIRES"])
    db.session.execute(db.delete(Report).where(Report.created_at < before))
    db.session.commit()
