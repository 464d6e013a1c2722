"""Rows that anybody may write: as JSON and by a page, in a list that is cached, and with files."""

from flask import Blueprint, abort, redirect, render_template, request, url_for
from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from flagstone import uploads
from flagstone.database import ID_MAX, Id
from flagstone.extensions import cache, db
from flagstone.incoming import takes_files
from flagstone.validation import read_body, read_fields, read_page

blueprint = Blueprint("items", __name__)

LIMITS = {"name": (1, 200), "text": (0, 10_000)}


class ProbeItem(db.Model):
    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(LIMITS["name"][1]))
    text: Mapped[str] = mapped_column(Text)
    file_key: Mapped[uploads.Key | None]
    file_name: Mapped[str | None] = mapped_column(String(uploads.NAME_MAX))
    file_type: Mapped[str | None] = mapped_column(String(50))

    def as_dict(self):
        return {"id": self.id, "name": self.name, "text": self.text, "file": self.file_name}


@cache.memoize()
def find_items(page, per_page):
    """Cached until one is written or deleted."""
    found = db.paginate(
        db.select(ProbeItem).order_by(ProbeItem.id.desc()),
        page=page,
        per_page=per_page,
        max_per_page=None,
        error_out=False,
    )
    return {"items": [item.as_dict() for item in found], "total": found.total}


def create_item(data):
    item, file = ProbeItem(**read_fields(data, LIMITS)), request.files.get("file")
    if file:
        stored = uploads.save(file)
        item.file_key, item.file_name, item.file_type = stored["key"], stored["name"], stored["type"]
    db.session.add(item)
    db.session.commit()
    if file:
        uploads.keep(stored["key"])
    cache.delete_memoized(find_items)
    return item


def get_item(item_id):
    return (db.session.get(ProbeItem, item_id) if item_id <= ID_MAX else None) or abort(404)


@blueprint.get("/api/items")
def listed():
    return find_items(*read_page())


@blueprint.post("/api/items")
@takes_files
def create():
    item = create_item(read_body())
    return item.as_dict(), 201, {"Location": url_for(".show", item_id=item.id, _external=True)}


@blueprint.get("/api/items/<int:item_id>")
def show(item_id):
    return get_item(item_id).as_dict()


@blueprint.delete("/api/items/<int:item_id>")
def delete(item_id):
    item = get_item(item_id)
    key = item.file_key
    if key:
        uploads.doubt(key)
    db.session.delete(item)
    db.session.commit()
    cache.delete_memoized(find_items)
    if key:
        uploads.delete(key)
    return "", 204


@blueprint.get("/items")
def page():
    return render_template(
        "items.html", items=db.session.scalars(db.select(ProbeItem).order_by(ProbeItem.id.desc()).limit(20))
    )


@blueprint.post("/items")
@takes_files
def create_by_form():
    create_item(request.form.to_dict())
    return redirect(url_for(".page"), 303)


@blueprint.get("/items/<int:item_id>/file")
def file(item_id):
    item = get_item(item_id)
    return uploads.send(item.file_key, item.file_name, item.file_type) if item.file_key else abort(404)
