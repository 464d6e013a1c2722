"""The attacked stack is that of a checkout whose path, settings and passwords could be taken apart: odd.py."""

import html
from pathlib import Path

import pytest

from tests.attack.odd import MAIL_PASSWORD, PORT, TEXT
from tests.smtp import mail_server
from tests.stack.conftest import HERE, Stack
from tests.wait import until

pytestmark = pytest.mark.long


def test_passwords_open_the_database_and_redis(attacked):
    """All are healthy, after the migrations; and what else is at hand opens neither."""
    health = attacked.site.get("/health").json
    assert (health["database"], health["cache"]) == ("ok", "ok")
    assert "NOAUTH" in attacked.exec("redis", "redis-cli", "ping")
    other = {"DATABASE_PASSWORD_FILE": "", "DATABASE_PASSWORD": "taken-away"}
    refused = attacked.once("app", "flask", "wait-for-database", "--limit", "1", environment=other)
    assert "password authentication failed" in refused.stdout


def test_a_value_between_single_quotes_arrives_whole(attacked):
    assert TEXT in html.unescape(attacked.site.get("/").text)


def test_a_mail_leaves_with_its_password_by_the_queue(attacked):
    pair = [attacked.folder / f"{HERE}.{kind}" for kind in ("pem", "key")]
    host = "0.0.0.0"  # noqa: S104 - its networks are the tests' own
    with mail_server(pair, host=host, port=PORT, login=True, password=MAIL_PASSWORD) as mailbox:
        attacked.exec("app", "flask", "send-test-mail", "you@example.com")
        until(lambda: mailbox.messages, what="a mail")
    assert mailbox.logins == [("user", MAIL_PASSWORD)]


def test_development_mounts_the_source_of_such_a_folder(attacked):
    dev = Stack(attacked.name, ("compose.yaml",), folder=attacked.folder)
    assert dev.once("app", "cat", "app/__init__.py").stdout == Path("app/__init__.py").read_text()
