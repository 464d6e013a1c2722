"""Passwords: their hashes, made beside the event loop, and which of them are too easy to guess."""

import re
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from flagstone.errors import InvalidInput
from flagstone.extensions import db
from flagstone.loop import beside

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


def refuse_easy(password: str, email: str) -> None:
    """InvalidInput for what would be tried first."""
    text = password.casefold()
    if text in (email, email.partition("@")[0]):
        raise InvalidInput({"password": "expected another one than your address"})
    repeated = re.fullmatch(r"(.+?)\1+", text)
    unit = repeated[1] if repeated else text
    if len(unit) < 4 or {unit, re.sub(r"[\W\d_]{1,5}$", "", unit)} & common():
        raise InvalidInput({"password": "expected one that is harder to guess, this is one of the most common"})


@cache
def common() -> frozenset[str]:
    """Only the list of zxcvbn: its estimate takes seconds for some passwords, in the event loop."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # 14 MB, once it is needed

    return frozenset(FREQUENCY_LISTS["passwords"])
