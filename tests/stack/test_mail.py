"""Mail leaves by the worker, over verified TLS, and a mail server that is down is nobody's trouble."""

import socket
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.shell import docker, run
from tests.smtp import certificate, mail_server
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
    def start(trusted=True):
        name = f"{prod.project}-mailer"
        password = pair[0].with_name("password")
        password.write_text("hunter2\n")
        options = ["--env", f"MAIL_SERVER={NAME}", "--env", f"MAIL_PORT={PORT}", "--env", "MAIL_USE_TLS=1"]
        options += ["--env", "MAIL_USERNAME=user", "--volume", f"{pair[0]}:/ca.pem:ro"]
        options += ["--env", "SSL_CERT_FILE=/ca.pem"] if trusted else []
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
