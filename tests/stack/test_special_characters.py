"""Characters that a shell, YAML or a URL takes for its own: in the path of the checkout, in .env, in passwords."""

import html
import shutil
from pathlib import Path

import pytest

from tests.shell import run
from tests.smtp import certificate, mail_server
from tests.stack.conftest import HERE, Stack, production
from tests.wait import until

FOLDER = "it's my site [1] (a copy), 100% $new #2"
TEXT = 'It costs $five #1, "net"'
PASSWORDS = {
    "postgres_password": "p@s%w:/#1 $HOME \\'\"&=+ü\r\n",
    "redis_password": "p@ss w\"rd #$%1 \\n\\'`id`{}ü\r\n",
}
MAIL_PASSWORD = 'a$b#c "d" #%s/@\\n $$'
PORT = 2525


@pytest.fixture(scope="module")
def folder():
    """A checkout at such a path, with such settings and passwords."""
    folder = Path(FOLDER).resolve()
    shutil.copytree(Path.cwd(), folder, symlinks=True, ignore=shutil.ignore_patterns(".env", "secrets"))
    run(f"{folder}/scripts/setup.sh")
    mail = {"MAIL_USERNAME": "user", "MAIL_PASSWORD": MAIL_PASSWORD, "MAIL_USE_TLS": "1", "MAIL_PORT": PORT}
    with (folder / ".env").open("a") as env:
        env.writelines(f"{name}='{value}'\n" for name, value in {"GREETING": TEXT, **mail}.items())
    for name, password in PASSWORDS.items():
        (folder / "secrets" / name).unlink()
        (folder / "secrets" / name).write_text(password, newline="")
    authority, _ = certificate(folder, HERE)
    (folder / "mail.yaml").write_text(f"""
services:
  worker:
    environment: {{ MAIL_SERVER: {HERE}, SSL_CERT_FILE: /ca.pem }}
    volumes: ["./{authority.name}:/ca.pem:ro"]
""")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def odd(folder):
    with production("odd", "mail.yaml", folder=folder) as stack:
        yield stack


def test_passwords_open_the_database_and_redis(odd):
    """All are healthy, after the migrations; and what else is at hand opens neither."""
    health = odd.site.get("/health").json
    assert (health["database"], health["cache"]) == ("ok", "ok")
    assert "NOAUTH" in odd.compose("exec", "-T", "redis", "redis-cli", "ping")
    other = {"DATABASE_PASSWORD_FILE": "", "DATABASE_PASSWORD": "in-that-file"}
    refused = odd.once("app", "flask", "wait-for-database", "--limit", "1", environment=other)
    assert "password authentication failed" in refused.stdout


def test_a_value_between_single_quotes_arrives_whole(odd):
    assert TEXT in html.unescape(odd.site.get("/").text)


def test_a_mail_leaves_with_its_password_by_the_queue(odd, folder):
    pair, host = (folder / f"{HERE}.pem", folder / f"{HERE}.key"), "0.0.0.0"  # noqa: S104 - the tests' own networks
    with mail_server(pair, host=host, port=PORT, login=True, password=MAIL_PASSWORD) as mailbox:
        odd.compose("exec", "-T", "app", "flask", "send-test-mail", "you@example.com")
        until(lambda: mailbox.messages, within=30, what="a mail")
    assert mailbox.logins == [("user", MAIL_PASSWORD)]


def test_development_mounts_the_source_of_such_a_folder(odd, folder):
    dev = Stack("odd", ("compose.yaml",), folder=folder)
    assert dev.once("app", "cat", "app/__init__.py").stdout == Path("app/__init__.py").read_text()
