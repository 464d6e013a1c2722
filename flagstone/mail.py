"""Mail: a row until a mail server has it. The worker sends it: a request never waits for a server, and one that is down
only delays a message.

Whoever sends a mail has locked its row, and deletes it as soon as the server has said yes: it is sent once, whatever
dies or is delivered twice meanwhile. Only when that yes is lost on its way, or the deletion, it is sent again, with the
same Message-ID.
"""

import logging
import smtplib
import ssl
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from typing import Any
from uuid import UUID, uuid4

import click
from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from celery.utils.time import get_exponential_backoff_interval
from flask import Flask, current_app, has_request_context
from flask.cli import with_appcontext
from sqlalchemy import DateTime, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from flagstone.background import Task
from flagstone.broker import QUEUE_GONE
from flagstone.database import CreatedAt
from flagstone.extensions import db

logger = logging.getLogger(__name__)

OUTBOX_MAX = 10_000  # messages; beyond it requests cause no more

# What smtplib raises for one message; the server is well.
REFUSED = (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError, smtplib.SMTPNotSupportedError)


class Mail(db.Model):
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=uuid4)
    recipient: Mapped[str] = mapped_column(Text, index=True)
    subject: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[CreatedAt] = mapped_column(index=True)
    next_try: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True, default=lambda: datetime.now(UTC))
    tries: Mapped[int] = mapped_column(default=0)

    def put_off(self, seconds: float) -> None:
        self.tries, self.next_try = self.tries + 1, datetime.now(UTC) + timedelta(seconds=seconds)


def init_app(app: Flask) -> None:
    app.extensions["mail_rests_until"] = 0.0  # by the monotonic clock: the server did not answer, ask no sooner
    app.cli.add_command(send_test_mail)


def send_mail(to: str, subject: str, text: str) -> None:
    """Commit a message, together with whatever else is in the session, and wake the worker.

    Raises ValueError when `to` is not one address or the subject has a line break; QUEUE_GONE in a request, when too
    many messages wait.
    """
    compose(to, subject, text)
    if has_request_context() and outbox_is_full():
        raise QUEUE_GONE(f"{OUTBOX_MAX:,} mails wait for the mail server")
    db.session.add(Mail(recipient=to, subject=subject, text=text))
    db.session.commit()
    wake_worker()


def outbox_is_full() -> bool:
    """A mail server that is down shall not let strangers fill the disk."""
    return db.session.scalar(db.select(db.func.count()).select_from(Mail)) >= OUTBOX_MAX


def wake_worker() -> None:
    with suppress(QUEUE_GONE):  # then beat does
        deliver.delay()


def compose(to: str, subject: str, text: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = current_app.config["MAIL_DEFAULT_SENDER"]
    try:
        message["To"] = Address(addr_spec=to)
    except MessageError, ValueError, IndexError:  # whichever its parser stumbles over
        raise ValueError("expected one mail address, such as you@example.com") from None
    message["Subject"] = subject  # EmailMessage refuses line breaks, with which a header could be smuggled in
    message["Date"] = formatdate(usegmt=True)
    message["Auto-Submitted"] = "auto-generated"  # no out-of-office answers
    message.set_content(text)
    return message


@shared_task(bind=True, max_retries=None)
def deliver(self: Task) -> None:
    """Send what is due, for half of the time limit."""
    give_up()
    if time.monotonic() < current_app.extensions["mail_rests_until"]:
        return
    end = time.monotonic() + current_app.config["TASK_TIME_LIMIT"] / 2
    while (mail := next_due()) and time.monotonic() < end:
        try:
            hand_over(mail)
        except RefusedError as error:
            pause = get_exponential_backoff_interval(1, mail.tries, maximum=600, full_jitter=True)
            logger.warning("Mail %s was refused, trying again in %d s: %s", mail.id, pause, error)
            mail.put_off(pause)
            db.session.commit()
        except (OSError, SoftTimeLimitExceeded) as error:  # smtplib's and ssl's are OSErrors, too
            pause = self.backoff()
            mail.put_off(pause)
            db.session.commit()
            current_app.extensions["mail_rests_until"] = time.monotonic() + pause
            server = f"{current_app.config['MAIL_SERVER']}:{port(current_app.config)}"
            logger.warning("%s did not take a mail, trying again in %d s: %s", server, pause, server_reply(error))
            raise self.retry(exc=MailError(server), countdown=pause) from None
    if mail:
        wake_worker()


def give_up() -> None:
    before = datetime.now(UTC) - timedelta(seconds=current_app.config["MAIL_EXPIRES"])
    old = db.select(Mail.id).where(Mail.created_at < before).with_for_update(skip_locked=True)
    for mail_id in db.session.scalars(db.delete(Mail).where(Mail.id.in_(old)).returning(Mail.id)):
        logger.error("Mail %s was given up: no server took it within MAIL_EXPIRES", mail_id)
    db.session.commit()


def next_due() -> Mail | None:
    """Locked: nobody else sends it meanwhile, and when this process dies it is free at once."""
    due = db.select(Mail).where(Mail.next_try <= datetime.now(UTC)).order_by(Mail.next_try).limit(1)
    return db.session.scalar(due.with_for_update(skip_locked=True))


def hand_over(mail: Mail) -> None:
    """Raises RefusedError when the server takes others but not this one, and OSError when it takes none."""
    config = current_app.config
    message = compose(mail.recipient, mail.subject, mail.text)
    _, sender = parseaddr(config["MAIL_DEFAULT_SENDER"])
    # The same at each try, so that a mail program shows a message once that came twice.
    message["Message-ID"] = f"<{mail.id}@{sender.rpartition('@')[2]}>"
    if not config["MAIL_SERVER"]:
        shown = mail.text if config["APP_ENV"] == "Dev" else "its text is shown in development only"
        logger.info("MAIL_SERVER is not set, so this mail went nowhere: %s (%s)", mail.subject, shown)
        forget(mail)
        return
    server = open_session(config)
    try:
        try:
            server.send_message(message)
        except REFUSED as error:
            raise RefusedError(server_reply(error)) from None
        forget(mail)  # before another word, which the server may not answer
        logger.info("A mail was sent: %s", message["Message-ID"])
        with suppress(OSError):
            server.quit()
    finally:
        server.close()


def forget(mail: Mail) -> None:
    db.session.delete(mail)
    db.session.commit()


class MailError(Exception):
    """The mail server does not take any message."""


class RefusedError(MailError):
    """It does not take this one."""


def open_session(config: dict[str, Any]) -> smtplib.SMTP:
    """A session in which a message may be sent. No password goes to a server that did not prove its name."""
    address, timeout = (config["MAIL_SERVER"], port(config)), config["MAIL_TIMEOUT"]
    verified = ssl.create_default_context()
    if config["MAIL_USE_SSL"]:
        server = smtplib.SMTP_SSL(*address, timeout=timeout, context=verified)
    else:
        server = smtplib.SMTP(*address, timeout=timeout)
    try:
        if config["MAIL_USE_TLS"]:
            server.starttls(context=verified)
        if config["MAIL_USERNAME"]:
            server.login(config["MAIL_USERNAME"], config["MAIL_PASSWORD"])
    except BaseException:
        server.close()
        raise
    return server


def port(config: dict[str, Any]) -> int:
    return config["MAIL_PORT"] or (465 if config["MAIL_USE_SSL"] else 587 if config["MAIL_USE_TLS"] else 25)


def server_reply(error: BaseException) -> str:
    """What the server or the network said, without the addresses that some of its answers are listed by."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"recipient refused, {[code for code, _ in error.recipients.values()]}"
    return f"{type(error).__name__}: {error}"


@click.command("send-test-mail")
@click.argument("address")
@with_appcontext
def send_test_mail(address: str) -> None:
    """Queue a mail to ADDRESS; the log of the worker says what became of it."""
    try:
        send_mail(address, f"A test of {current_app.config['PROJECT_NAME']}", "It works.\n")
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    click.echo("It is queued. What becomes of it is in the log of the worker.")
