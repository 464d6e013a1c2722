"""Work for the background, in steps that take a while, and whose progress can be asked for."""

import logging
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from celery import current_app as queue
from celery import shared_task
from celery.signals import task_failure
from flask import Blueprint, abort, current_app, url_for
from sqlalchemy import String, Uuid
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from flagstone.broker import LAST, QUEUE_GONE
from flagstone.database import CreatedAt, transient
from flagstone.extensions import db

logger = logging.getLogger(__name__)
blueprint = Blueprint("jobs", __name__)

STEPS = 10
OVER = ("done", "failed")


class ProbeJob(db.Model):
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    state: Mapped[str] = mapped_column(String(10), default="queued")
    progress: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[CreatedAt]


@blueprint.post("/api/jobs")
def order():
    job = ProbeJob()
    db.session.add(job)
    db.session.commit()  # before the worker looks for it
    try:
        work.apply_async((str(job.id),), priority=LAST)
    except QUEUE_GONE:
        db.session.delete(job)
        db.session.commit()
        raise
    return {}, 202, {"Location": url_for(".show", job_id=job.id)}


@blueprint.get("/api/jobs/<uuid:job_id>")
def show(job_id):
    job = db.session.get(ProbeJob, job_id) or abort(404)
    return {"state": job.state, "progress": job.progress}


@shared_task(name="probe.work", bind=True)
def work(self, job_id):
    try:
        job = db.session.get(ProbeJob, UUID(job_id))
        if job is None:
            logger.info("Job %s is not in the database", job_id)
        if job is None or job.state in OVER:
            return
        job.state = "running"
        db.session.commit()
        for step in range(STEPS):
            db.session.refresh(job)  # begins a transaction, as work does that reads what it works on
            time.sleep(current_app.config["STEP_SECONDS"])
            job.progress = 100 * (step + 1) // STEPS
            db.session.commit()
        job.state = "done"
        db.session.commit()
    except SQLAlchemyError as error:
        if transient(error):
            raise self.retry(exc=error) from None
        raise


@task_failure.connect
def give_up(sender, args, exception, **_):
    if sender.name == work.name and not transient(exception):
        with queue.flask.app_context():
            job = db.session.get(ProbeJob, UUID(args[0]))
            if job and job.state not in OVER:
                job.state = "failed"
                db.session.commit()


@shared_task(name="probe.forget")
def forget():
    db.session.execute(db.delete(ProbeJob).where(ProbeJob.created_at < datetime.now(UTC) - timedelta(days=1)))
    db.session.commit()
