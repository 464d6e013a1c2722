"""Mail, sent by the worker: a request never waits for a mail server, and one that is down only delays a message."""

import logging
import smtplib
import ssl
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from typing import Any

import click
from celery import shared_task
from flask import Flask, current_app
from flask.cli import with_appcontext

from app.background import Task

logger = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    app.cli.add_command(send_test_mail)


def send_mail(to: str, subject: str, text: str) -> None:
    """Hand a message to the worker.

    Raises ValueError when `to` is not one address or the subject has a line break, and QUEUE_GONE.
    """
    compose(to, subject, text)
    deliver.delay(to, subject, text)


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


@shared_task(bind=True, max_retries=120)  # about an hour
def deliver(self: Task, to: str, subject: str, text: str) -> None:
    message = compose(to, subject, text)
    # The same at each try, so that a mail program shows a message once that came twice.
    _, sender = parseaddr(current_app.config["MAIL_DEFAULT_SENDER"])
    message["Message-ID"] = f"<{self.request.id}@{sender.rpartition('@')[2]}>"
    if not current_app.config["MAIL_SERVER"]:
        shown = text if current_app.config["APP_ENV"] == "Dev" else "its text is shown in development only"
        logger.info("MAIL_SERVER is not set, so this mail went nowhere: %s (%s)", subject, shown)
        return
    try:
        with connect(current_app.config) as server:
            server.send_message(message)
    except OSError as error:  # smtplib's and ssl's are of this class, too
        pause = self.backoff()
        server = f"{current_app.config['MAIL_SERVER']}:{port(current_app.config)}"
        logger.warning("%s did not take a mail, trying again in %d s: %s", server, pause, reason(error))
        raise self.retry(exc=MailError(server), countdown=pause) from None
    logger.info("A mail was sent: %s", message["Message-ID"])


class MailError(Exception):
    """The mail server did not take a message, which is in no log."""


def connect(config: dict[str, Any]) -> smtplib.SMTP:
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


def reason(error: OSError) -> str:
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
        send_mail(address, "A test of Flagstone", "It works.\n")
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    click.echo("It is queued. What becomes of it is in the log of the worker.")
