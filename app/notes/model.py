"""A note, how it is stored, and the cached list of notes."""

from datetime import UTC, datetime
from typing import Any

from flask import abort
from sqlalchemy import BigInteger, DateTime, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import cache, db

TITLE_MAX = 200
BODY_MAX = 10_000
ID_MAX = 2**63 - 1  # PostgreSQL cannot even look for more


class Note(db.Model):
    # SQLite counts up by itself only in a plain INTEGER.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    title: Mapped[str] = mapped_column(String(TITLE_MAX))
    body: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))

    def as_dict(self) -> dict[str, Any]:
        # SQLite forgets the time zone, and every time here is UTC.
        created = self.created_at.replace(tzinfo=self.created_at.tzinfo or UTC).astimezone(UTC)
        return {
            "id": self.id,
            "title": self.title,
            "body": self.body,
            "created_at": created.isoformat(timespec="seconds"),
        }


@cache.memoize()
def list_notes(page: int, per_page: int) -> dict[str, Any]:
    """One page of the notes, the newest first. Cached until a note is created or deleted."""
    found = db.paginate(
        db.select(Note).order_by(Note.id.desc()), page=page, per_page=per_page, max_per_page=None, error_out=False
    )
    return {
        "notes": [note.as_dict() for note in found],
        "page": page,
        "per_page": per_page,
        "pages": found.pages,
        "total": found.total,
    }


def create_note(title: str, body: str) -> Note:
    note = Note(title=title, body=body)
    db.session.add(note)
    db.session.commit()
    cache.delete_memoized(list_notes)
    return note


def get_note(note_id: int) -> Note:
    note = db.session.get(Note, note_id) if note_id <= ID_MAX else None
    return note or abort(404, "There is no such note.")


def delete_note(note_id: int) -> None:
    get_note(note_id)
    db.session.execute(db.delete(Note).where(Note.id == note_id))
    db.session.commit()
    cache.delete_memoized(list_notes)
