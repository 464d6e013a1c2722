"""A user, and the password that only the user knows."""

import re
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import String
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from app.database import ID_MAX, CreatedAt, Id
from app.errors import InvalidInput
from app.extensions import db
from app.validation import read_fields

# Lengths. A password: NIST SP 800-63B has no rules for its characters, and a bound so that hashing has one, too.
LIMITS = {"email": (3, 254), "password": (12, 256)}

hasher = PasswordHasher()  # argon2id, with the parameters of RFC 9106 for little memory: 64 MB, about 50 ms


@cache
def nobody() -> str:
    """A hash of nobody's password: who does not exist takes as long as who does."""
    return hasher.hash("")


class User(db.Model):
    id: Mapped[Id]
    email: Mapped[str] = mapped_column(String(LIMITS["email"][1]), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[CreatedAt]


def get_user(user_id: object) -> User | None:
    """From a session or a token. It is signed, but an older release, or another application, may have made it."""
    return db.session.get(User, user_id) if type(user_id) is int and 0 < user_id <= ID_MAX else None


def create_user(data: object) -> User:
    """From `email` and `password`. InvalidInput says what is wrong with them."""
    fields = read_fields(data, LIMITS)
    email = fields["email"].lower()
    if not re.fullmatch(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+", email):
        raise InvalidInput({"email": "expected an address such as you@example.com"})
    user = User(email=email, password_hash=hasher.hash(fields["password"]))
    db.session.add(user)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        raise InvalidInput({"email": "this address has an account already"}) from None
    return user


def authenticate(data: object) -> User | None:
    """The user with this `email` and `password`."""
    fields = read_fields(data, {name: (1, maximum) for name, (_, maximum) in LIMITS.items()})
    user = db.session.scalar(db.select(User).filter_by(email=fields["email"].lower()))
    try:
        hasher.verify(user.password_hash if user else nobody(), fields["password"])
    except VerificationError:
        return None
    if user and hasher.check_needs_rehash(user.password_hash):  # the parameters have grown since
        user.password_hash = hasher.hash(fields["password"])
        db.session.commit()
    return user
