"""User models."""

import datetime as dt

from conduit.extensions import bcrypt, db


class User(db.Model):
    __tablename__ = "users"

    id = db.Column(db.Integer, primary_key=True)
    username = db.Column(db.String(80), unique=True, nullable=False)
    email = db.Column(db.String(100), unique=True, nullable=False)
    password = db.Column(db.LargeBinary(128), nullable=True)
    created_at = db.Column(db.DateTime, nullable=False, default=lambda: dt.datetime.now(dt.UTC).replace(tzinfo=None))
    token = ""

    def __init__(self, username, email, password):
        super().__init__(username=username, email=email, password=bcrypt.generate_password_hash(password))

    def check_password(self, value):
        return bcrypt.check_password_hash(self.password, value)


def load_user(_header, payload):
    return db.session.get(User, int(payload["sub"]))
