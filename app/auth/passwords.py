"""Passwords: their hashes, made beside the event loop."""

from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from app.extensions import db
from app.loop import beside

hasher = PasswordHasher()  # argon2id, with the parameters of RFC 9106 for little memory: 64 MB, about 50 ms


def make_hash(password: str) -> str:
    return waiting(hasher.hash, password)


def matches(password_hash: str | None, password: str) -> bool:
    return waiting(verify, password_hash, password)


def waiting(*job: Any) -> Any:
    db.session.close()  # or a connection of the pool would wait, too; what was read stays as it was
    return beside(*job)


def verify(password_hash: str | None, password: str) -> bool:
    try:
        return hasher.verify(password_hash or nobody(), password)
    except VerificationError:
        return False


@cache
def nobody() -> str:
    """A hash of nobody's password: who does not exist takes as long as who does."""
    return hasher.hash("")
