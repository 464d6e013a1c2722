"""Article models."""

import datetime as dt

from slugify import slugify

from conduit.extensions import db


class Article(db.Model):
    __tablename__ = "article"

    id = db.Column(db.Integer, primary_key=True)
    slug = db.Column(db.Text, unique=True, nullable=False)
    title = db.Column(db.String(100), nullable=False)
    body = db.Column(db.Text, nullable=False)
    created_at = db.Column(db.DateTime, nullable=False, default=lambda: dt.datetime.now(dt.UTC).replace(tzinfo=None))
    author_id = db.Column(db.Integer, db.ForeignKey("users.id"), nullable=False)
    author = db.relationship("User")

    def __init__(self, title, **kwargs):
        super().__init__(title=title, slug=slugify(title), **kwargs)
