"""Mail leaves by the worker, over verified TLS, and a mail server that is down is nobody's trouble."""

import time
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import pytest

from tests.shell import run
from tests.smtp import certificate, mail_server
from tests.stack.conftest import HERE
from tests.stack.test_background import messages, order
from tests.wait import until

PORT = 2525


@pytest.fixture(scope="module")
def pair():
    """Beside the checkout's copy, where Docker finds what it is asked to mount."""
    folder = Path("mail").resolve()
    folder.mkdir(exist_ok=True)
    return certificate(folder, HERE)


@pytest.fixture
def worker(prod, pair):
    """Runs a worker that sends by this container in place of the stack's own; yields what it said so far."""

    @contextmanager
    def start(trusted=True, **settings):
        password = pair[0].with_name("password")
        password.write_text("hunter2\n")
        mail = {"MAIL_SERVER": HERE, "MAIL_PORT": PORT, "MAIL_USE_TLS": 1, "MAIL_USERNAME": "user"}
        mail |= {"SSL_CERT_FILE": "/ca.pem"} if trusted else {}
        options, compose = ("--volume", f"{pair[0]}:/ca.pem:ro"), {"MAIL_PASSWORD_FILE": str(password)}
        with prod.without("worker"), prod.another("worker", *options, compose=compose, **mail, **settings) as name:
            yield lambda: run("docker", "logs", name).stdout

    return start


def send(prod):
    prod.exec("app", "flask", "send-test-mail", "you@example.com")


def serve(pair):
    return mail_server(pair, host="0.0.0.0", port=PORT, login=True)  # noqa: S104 - its networks are the tests' own


def test_mail_leaves_by_the_worker_over_verified_tls_with_a_password_from_a_file(prod, worker, pair):
    with serve(pair) as mailbox, worker() as said:
        send(prod)
        until(lambda: mailbox.messages, what="a mail")
        until(lambda: "A mail was sent" in said())
        assert "To: you@example.com" in mailbox.texts()[0]
        assert mailbox.secured == [True]
        assert mailbox.logins == [("user", "hunter2")]
        assert "hunter2" not in said()
        assert "you@example.com" not in said()


@pytest.mark.long
def test_a_server_that_is_down_holds_up_no_request_and_gets_the_mail_later(prod, worker, pair):
    with worker() as said:
        send(prod)
        until(lambda: said().count("did not take a mail, trying again in") >= 2)
        started = time.monotonic()
        assert prod.site.post_json("/api/items", {"name": "meanwhile"}).status == 201
        assert time.monotonic() - started < 1
        with serve(pair) as mailbox:
            until(lambda: mailbox.messages, what="the mail")
        assert len(mailbox.messages) == 1


@pytest.mark.long
def test_a_server_that_hangs_gets_each_mail_once_and_holds_up_no_job(prod, worker, pair):
    """For longer than the time after which Redis delivers a message once more: three times TASK_TIME_LIMIT."""
    addresses = sorted(f"{number}@example.com" for number in range(40))
    code = "from app import create_app; from flagstone.mail import send_mail\nwith create_app().app_context():\n"
    code += f"    for to in {addresses}: send_mail(to, 'Subject', 'Text')"
    with worker(TASK_TIME_LIMIT=2, MAIL_TIMEOUT=1, WORKER_PROCESSES=2, STEP_SECONDS=0) as said:
        prod.exec("app", "python", "-c", code)
        until(lambda: "did not take a mail" in said(), what="it has been refused")
        with create_server(("0.0.0.0", PORT)):  # noqa: S104 - accepts and says nothing
            before = said().count("timed out")
            ordered, job = time.monotonic(), order(prod)
            until(lambda: prod.site.get(job).json["state"] == "done", within=20)
            until(lambda: time.monotonic() > ordered + 20)
            assert said().count("timed out") > before
        with serve(pair) as mailbox:
            until(lambda: mailbox.recipients() == addresses, what="each mail")
            until(lambda: not messages(prod), what="an empty queue")
            assert mailbox.recipients() == addresses


def test_a_server_with_a_wrong_certificate_gets_neither_mail_nor_password(prod, worker, pair):
    with serve(pair) as mailbox, worker(trusted=False) as said:
        send(prod)
        until(lambda: "CERTIFICATE_VERIFY_FAILED" in said())
        assert f"{HERE}:{PORT} did not take a mail" in said()
        assert not mailbox.logins
        assert not mailbox.messages
        assert "hunter2" not in said()


def test_contradictory_settings_are_told_at_the_start(prod):
    result = prod.once("worker", environment={"MAIL_USE_TLS": "1", "MAIL_USE_SSL": "1", "MAIL_USERNAME": "user"})
    assert result.returncode != 0
    assert "MAIL_USE_SSL: expected either MAIL_USE_TLS or MAIL_USE_SSL" in result.stderr
    assert "MAIL_PASSWORD: expected" in result.stderr
