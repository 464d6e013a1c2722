"""What the worker does for a report."""

import csv
import io
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from celery import current_app as queue
from celery import shared_task
from celery.signals import task_failure
from flask import current_app, url_for

from app.auth.model import User
from app.background import Task
from app.broker import QUEUE_GONE
from app.database import DATABASE_GONE
from app.extensions import db
from app.mail import send_mail
from app.notes.model import Note
from app.reports.model import Report

STEPS = 10


def order_report(user: User) -> Report:
    """A new report, on its way to the worker. Raises QUEUE_GONE, and then there is none."""
    report = Report(user_id=user.id)
    db.session.add(report)
    db.session.commit()  # before the worker looks for it
    try:
        write_report.delay(str(report.id), url_for("reports.index", _external=True))
    except QUEUE_GONE:
        db.session.delete(report)
        db.session.commit()
        raise
    return report


@shared_task(bind=True, max_retries=5)
def write_report(self: Task, report_id: str, page: str) -> None:
    report = db.session.get(Report, UUID(report_id))
    if report is None or report.finished:  # deleted meanwhile, or delivered twice
        return
    report.state, report.progress = "running", 0
    try:
        report.content = write_csv(report)
        report.finish("done")
        with suppress(ValueError):  # an address that mail cannot reach
            # Before the commit: twice rather than never.
            send_mail(report.user.email, "Your report is done", f"It can be downloaded at {page}\n")
        db.session.commit()
    except (*DATABASE_GONE, QUEUE_GONE) as error:
        raise self.retry(exc=error, countdown=self.backoff()) from None


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
def give_up(sender: Task, args: tuple, **_: Any) -> None:
    """In the task's process after an exception; in the worker's first one when it killed that, or lost it."""
    if sender.name == write_report.name:
        with queue.flask.app_context():
            if report := db.session.get(Report, UUID(args[0])):
                report.finish("failed")
                db.session.commit()


@shared_task
def delete_expired() -> None:
    before = datetime.now(UTC) - timedelta(seconds=current_app.config["REPORT_EXPIRES"])
    db.session.execute(db.delete(Report).where(Report.created_at < before))
    db.session.commit()
