"""Mail leaves by the worker, over verified TLS, and a mail server that is down is nobody's trouble."""

import re
import socket
import time
from contextlib import contextmanager
from email import message_from_string
from email.policy import default
from pathlib import Path
from socket import create_server

import pytest

from tests.shell import docker, run
from tests.smtp import certificate, mail_server
from tests.stack.test_background import await_done, messages, order
from tests.wait import until

NAME = "smtp.test"
PORT = 2525


@pytest.fixture(scope="module")
def pair():
    """Beside the checkout's copy, where Docker finds what it is asked to mount."""
    folder = Path("mail").resolve()
    folder.mkdir(exist_ok=True)
    return certificate(folder, NAME)


@pytest.fixture(scope="module")
def network(prod):
    """This container is the mail server, for the network that leads to the world."""
    web = f"{prod.project}_web"
    docker("network", "connect", "--alias", NAME, web, socket.gethostname())
    yield
    docker("network", "disconnect", "--force", web, socket.gethostname())


@pytest.fixture
def worker(prod, network, pair):
    """Runs a worker that sends by this container in place of the stack's own; yields what it said so far."""

    @contextmanager
    def start(trusted=True, **settings):
        name = f"{prod.project}-mailer"
        password = pair[0].with_name("password")
        password.write_text("hunter2\n")
        options = ["--env", f"MAIL_SERVER={NAME}", "--env", f"MAIL_PORT={PORT}", "--env", "MAIL_USE_TLS=1"]
        options += ["--env", "MAIL_USERNAME=user", "--volume", f"{pair[0]}:/ca.pem:ro"]
        options += ["--env", "SSL_CERT_FILE=/ca.pem"] if trusted else []
        options += [word for name, value in settings.items() for word in ("--env", f"{name}={value}")]
        with prod.without("worker"):
            try:
                start = ("run", "--detach", "--no-deps", "--name", name, *options, "worker")
                prod.compose(*start, MAIL_PASSWORD_FILE=str(password))
                yield lambda: run("docker", "logs", name).stdout
            finally:
                docker("rm", "--force", name)

    return start


def send(prod):
    prod.compose("exec", "-T", "app", "flask", "send-test-mail", "you@example.com")


def serve(pair):
    return mail_server(pair, host="0.0.0.0", port=PORT, login=True)  # noqa: S104 - its networks are the tests' own


def test_mail_leaves_by_the_worker_over_verified_tls_with_a_password_from_a_file(prod, worker, pair):
    with serve(pair) as mailbox, worker() as said:
        send(prod)
        until(lambda: mailbox.messages, within=30, what="a mail")
        until(lambda: "A mail was sent" in said(), within=5)
        assert "To: you@example.com" in mailbox.texts()[0]
        assert mailbox.secured == [True]
        assert mailbox.logins == [("user", "hunter2")]
        assert "hunter2" not in said()
        assert "you@example.com" not in said()


def test_the_owner_of_a_report_is_told_where_it_is(prod, worker, pair):
    with serve(pair) as mailbox, worker():
        answer = prod.site.request("POST", "/api/reports")
        until(lambda: mailbox.messages, within=30, what="a mail")
    assert "To: tests@example.test" in mailbox.texts()[0]
    assert answer.headers["Location"].replace("/api/reports/" + answer.json["id"], "/reports") in mailbox.texts()[0]


def test_a_lost_password_is_replaced_by_a_link_in_a_mail(prod, worker, pair):
    prod.stranger.sign_up("forgetful@example.test")
    code = "from app import create_app; from app.auth.links import request_link\n"
    code += "with create_app().test_request_context(base_url='https://example.test'):\n"
    code += "    request_link('forgetful@example.test', 'forgot')"
    with serve(pair) as mailbox, worker():
        prod.compose("exec", "-T", "app", "python", "-c", code)
        until(lambda: mailbox.messages, within=30, what="a mail")
    text = message_from_string(mailbox.texts()[0], policy=default).get_content()
    new = {"password": "another one than that"}
    page = re.search(r"/reset\?token=\S+", text)[0]
    assert [prod.stranger.post_form(page, **new).status for _ in range(2)] == [303, 410]
    assert prod.stranger.post_form("/login", email="forgetful@example.test", **new).status == 303


def test_a_server_that_is_down_holds_up_no_request_and_gets_the_mail_later(prod, worker, pair):
    with worker() as said:
        send(prod)
        until(lambda: said().count("did not take a mail, trying again in") >= 2, within=30)
        started = time.monotonic()
        assert prod.site.post_json("/api/notes", {"title": "meanwhile"}).status == 201
        assert time.monotonic() - started < 1
        with serve(pair) as mailbox:
            until(lambda: mailbox.messages, within=60, what="the mail")
        assert len(mailbox.messages) == 1


def test_a_server_that_hangs_gets_each_mail_once_and_holds_up_no_report(prod, worker, pair):
    """For longer than the time after which Redis delivers a message once more: three times TASK_TIME_LIMIT."""
    addresses = sorted(f"{number}@example.com" for number in range(40))
    code = "from app import create_app; from flagstone.mail import send_mail\nwith create_app().app_context():\n"
    code += f"    for to in {addresses}: send_mail(to, 'Subject', 'Text')"
    with worker(TASK_TIME_LIMIT=2, MAIL_TIMEOUT=1, WORKER_PROCESSES=2, REPORT_STEP_SECONDS=0) as said:
        prod.compose("exec", "-T", "app", "python", "-c", code)
        until(lambda: "did not take a mail" in said(), within=30, what="it has been refused")
        with create_server(("0.0.0.0", PORT)):  # noqa: S104 - accepts and says nothing
            before = said().count("timed out")
            ordered, status = time.monotonic(), order(prod)
            await_done(prod, status, within=20)
            until(lambda: time.monotonic() > ordered + 20, within=30)
            assert said().count("timed out") > before
        with serve(pair) as mailbox:
            wanted = sorted([*addresses, "tests@example.test"])
            until(lambda: mailbox.recipients() == wanted, within=60, what="each mail")
            until(lambda: not messages(prod), within=60, what="an empty queue")
            assert mailbox.recipients() == wanted


def test_a_server_with_a_wrong_certificate_gets_neither_mail_nor_password(prod, worker, pair):
    with serve(pair) as mailbox, worker(trusted=False) as said:
        send(prod)
        until(lambda: "CERTIFICATE_VERIFY_FAILED" in said(), within=30)
        assert f"{NAME}:{PORT} did not take a mail" in said()
        assert not mailbox.logins
        assert not mailbox.messages
        assert "hunter2" not in said()


def test_contradictory_settings_are_told_at_the_start(prod):
    result = prod.once("worker", environment={"MAIL_USE_TLS": "1", "MAIL_USE_SSL": "1", "MAIL_USERNAME": "user"})
    assert result.returncode != 0
    assert "MAIL_USE_SSL: expected either MAIL_USE_TLS or MAIL_USE_SSL" in result.stderr
    assert "MAIL_PASSWORD: expected" in result.stderr
