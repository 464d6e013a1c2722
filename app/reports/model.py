"""A report, and how far it is."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from flask import abort, url_for
from sqlalchemy import DateTime, String, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.auth.model import User
from flagstone.database import CreatedAt
from flagstone.extensions import db

UNFINISHED = ("queued", "running")  # in the end it is done or failed
UNFINISHED_MAX = 5  # of one user
KEPT_MAX = 100  # of one user, the latest


class Report(db.Model):
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    user_id: Mapped[int] = mapped_column(db.ForeignKey("user.id"), index=True)
    user: Mapped[User] = relationship()
    state: Mapped[str] = mapped_column(String(10), default="queued")
    progress: Mapped[int] = mapped_column(default=0)  # percent
    content: Mapped[str | None] = mapped_column(Text, deferred=True)
    created_at: Mapped[CreatedAt] = mapped_column(index=True)
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    @property
    def finished(self) -> bool:
        return self.state not in UNFINISHED

    def finish(self, state: str) -> None:
        self.state, self.finished_at = state, datetime.now(UTC)

    def as_dict(self) -> dict[str, Any]:
        download = url_for("reports_api.download", report_id=self.id) if self.state == "done" else None
        return {"id": self.id, "state": self.state, "progress": self.progress, "download": download}


def list_reports(user: User) -> list[Report]:
    """The user's latest ones."""
    own = db.select(Report).filter_by(user_id=user.id)
    return list(db.session.scalars(own.order_by(Report.created_at.desc()).limit(20)))


def get_report(user: User, report_id: UUID) -> Report:
    """A report is its owner's only; to others it does not exist."""
    own = db.select(Report).filter_by(user_id=user.id, id=report_id)
    return db.session.scalar(own) or abort(404, "There is no such report.")
