"""A note, how it is stored, and the cached list of notes."""

from datetime import UTC
from typing import Any

from flask import abort
from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.datastructures import FileStorage

from app.auth.model import User
from flagstone import uploads
from flagstone.database import ID_MAX, CreatedAt, Id
from flagstone.edge import forget_pages
from flagstone.errors import InvalidInput
from flagstone.extensions import cache, db
from flagstone.validation import read_fields

LIMITS = {"title": (1, 200), "body": (0, 10_000)}  # lengths
FILES_MAX = 1_000  # of one user


class Note(db.Model):
    id: Mapped[Id]
    title: Mapped[str] = mapped_column(String(LIMITS["title"][1]))
    body: Mapped[str] = mapped_column(Text, default="")
    author_id: Mapped[int | None] = mapped_column(db.ForeignKey("user.id"))
    file_key: Mapped[uploads.Key | None]
    file_name: Mapped[str | None] = mapped_column(String(uploads.NAME_MAX))
    file_type: Mapped[str | None] = mapped_column(String(50))
    created_at: Mapped[CreatedAt]

    def as_dict(self) -> dict[str, Any]:
        # SQLite forgets the time zone, and every time here is UTC.
        created = self.created_at.replace(tzinfo=self.created_at.tzinfo or UTC).astimezone(UTC)
        return {
            "id": self.id,
            "title": self.title,
            "body": self.body,
            "author_id": self.author_id,
            "file": self.file_name,
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


def forget_lists() -> None:
    """Call it when a change is committed."""
    cache.delete_memoized(list_notes)
    forget_pages()  # which are made of it


def create_note(author: User, data: object, file: FileStorage | None = None) -> Note:
    """From `title` and `body`, and a file where there is one. InvalidInput says what is wrong with them."""
    note = Note(**read_fields(data, LIMITS), author_id=author.id)
    if file:
        own = db.select(db.func.count()).where(Note.author_id == author.id, Note.file_key.is_not(None))
        if db.session.scalar(own) >= FILES_MAX:
            raise InvalidInput({"file": f"expected at most {FILES_MAX:,} files of one user"})
        stored = uploads.save(file)
        note.file_key, note.file_name, note.file_type = stored["key"], stored["name"], stored["type"]
    db.session.add(note)
    db.session.commit()
    if file:
        uploads.keep(stored["key"])
    forget_lists()
    return note


def get_note(note_id: int) -> Note:
    note = db.session.get(Note, note_id) if note_id <= ID_MAX else None
    return note or abort(404, "There is no such note.")


def delete_note(user: User, note_id: int) -> None:
    note = get_note(note_id)
    if note.author_id != user.id:
        abort(403, "This note is somebody else's.")
    key = note.file_key
    if key:
        uploads.doubt(key)
    db.session.execute(db.delete(Note).where(Note.id == note_id))
    db.session.commit()
    forget_lists()
    if key:
        uploads.delete(key)
