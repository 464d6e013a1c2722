"""Links by mail, with which the owner of an address chooses a password: a new one, or the first of a new account.

What the site answers, and how fast, is the same for every address: the worker looks up who has an account.
"""

from typing import Any

from celery import shared_task
from flask import current_app, url_for
from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy.exc import SQLAlchemyError

from app.auth.model import LIMITS, User, change_password, create_user, find_user
from flagstone.background import Task
from flagstone.broker import QUEUE_GONE
from flagstone.database import transient
from flagstone.extensions import cache, db
from flagstone.mail import outbox_is_full, send_mail
from flagstone.validation import read_fields

SECONDS = 3600  # that one is good for
PAUSE = 600  # seconds until an address gets another one
FULL = "outbox is full"  # in the cache, for requests: here they ask no database

TEXTS = {
    "register": "Somebody, perhaps you, asked for an account with this address. Choose its password",
    "registered": "Somebody, perhaps you, asked for an account with this address. It has one. Choose a new password",
    "forgot": "Somebody, perhaps you, has forgotten the password of this account. Choose a new one",
}


def available() -> bool:
    return bool(current_app.config["MAIL_SERVER"])


def request_link(email: str, reason: str) -> None:
    """For `email` in its normal form. Raises QUEUE_GONE."""
    if cache.get(FULL):
        raise QUEUE_GONE("the outbox is full")
    if cache.add(key := f"link {email}", True, timeout=PAUSE) is False:
        return
    try:
        mail_link.delay(email, reason, url_for("auth.reset", _external=True))
    except QUEUE_GONE:
        cache.delete(key)
        raise


@shared_task(bind=True)
def mail_link(self: Task, email: str, reason: str, page: str) -> None:
    try:
        user = find_user(email)
        if (user is None and reason == "forgot") or (user and user.disabled):
            return
        if outbox_is_full():
            cache.set(FULL, True, timeout=60)
            current_app.logger.error("A link is not mailed: too many mails wait for the mail server")
            return
        reason = "registered" if user and reason == "register" else reason
        token = signer().dumps({"user": user.id, "epoch": user.session_epoch} if user else {"email": email})
        text = f"{TEXTS[reason]} within an hour:\n\n{page}?token={token}\n\nIf it was not you, ignore this.\n"
        send_mail(user.email if user else email, "Your password", text)
    except ValueError:
        current_app.logger.warning("A link cannot be mailed: not an address for mail")
    except SQLAlchemyError as error:
        if transient(error):
            raise self.retry(exc=error) from None
        raise


def choose_password(token: str, data: dict[str, Any]) -> bool:
    """What a link is for. False where it is no longer valid; InvalidInput where the password is not."""
    found = read(token)
    if found and "email" in found:  # of a new account
        return not find_user(found["email"]) and bool(create_user({**data, "email": found["email"]}))
    user = db.session.get(User, found["user"]) if found else None
    if user is None or user.disabled or user.session_epoch != found["epoch"]:
        return False
    return bool(change_password(user, read_fields(data, {"password": LIMITS["password"]})["password"]))


def read(token: str) -> dict[str, Any] | None:
    """Whom it is for, and their session_epoch at that time: a new password changes that, so a link is good once."""
    try:
        return signer().loads(token, max_age=SECONDS)
    except BadData:
        return None


def signer() -> URLSafeTimedSerializer:
    keys = [*current_app.config["SECRET_KEY_FALLBACKS"], current_app.config["SECRET_KEY"]]
    return URLSafeTimedSerializer(keys, salt="a link by mail")
