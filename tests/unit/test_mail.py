import logging
import smtplib
import ssl
from socket import create_server

import pytest

from flagstone.background import Task
from flagstone.config import ConfigError, load
from flagstone.extensions import db
from flagstone.mail import Mail, compose, deliver, open_session, port, send_mail
from tests.smtp import certificate, mail_server
from tests.wait import until

SECURE = {"MAIL_USE_TLS": "1", "MAIL_USERNAME": "user", "MAIL_PASSWORD": "hunter2"}


@pytest.fixture
def settings(make_app):
    return lambda server, **more: make_app(MAIL_SERVER="localhost", MAIL_PORT=str(server.port), **more).config


@pytest.fixture
def trusted(tmp_path, monkeypatch):
    """A pair for localhost that OpenSSL trusts, as it would a company's own authority."""
    pair = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))
    return pair


def test_mail_is_sent_by_a_verified_connection_with_a_login(make_app, trusted):
    with mail_server(trusted, login=True) as server:
        app = make_app(MAIL_SERVER="localhost", MAIL_PORT=str(server.port), **SECURE)
        with app.app_context():
            send_mail("you@example.com", "Grüße", "Schöne Zeilen\n")
    (message,) = server.texts()
    assert "Subject: =?utf-8?" in message
    assert "To: you@example.com" in message
    assert "Message-ID: <" in message
    assert server.secured == [True]
    assert server.logins == [("user", "hunter2")]


def test_no_password_goes_to_a_server_of_another_name(settings, tmp_path, monkeypatch):
    pair = certificate(tmp_path, "other.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))
    with mail_server(pair, login=True) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match="localhost"):
            open_session(settings(server, **SECURE))
        assert not server.logins


def test_no_password_goes_to_a_server_that_nobody_vouches_for(settings, tmp_path):
    with mail_server(certificate(tmp_path, "localhost"), login=True) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            open_session(settings(server, **SECURE))
        assert not server.logins


def test_no_password_goes_to_a_server_without_starttls(settings):
    with mail_server(login=True) as server:
        with pytest.raises(smtplib.SMTPNotSupportedError):
            open_session(settings(server, **SECURE))
        assert not server.logins


def test_a_server_that_is_silent_does_not_hold_the_worker(make_app):
    with create_server(("127.0.0.1", 0)) as silent:
        number = str(silent.getsockname()[1])
        config = make_app(MAIL_SERVER="127.0.0.1", MAIL_PORT=number, MAIL_TIMEOUT="0.2").config
        with pytest.raises(OSError, match="timed out"):
            open_session(config)


def waiting():
    return list(db.session.scalars(db.select(Mail.recipient).order_by(Mail.recipient)))


def test_a_server_that_is_down_gets_the_mail_later_and_the_log_has_no_address(make_app, caplog, monkeypatch):
    monkeypatch.setattr(Task, "backoff", lambda _: 1)
    app = make_app(MAIL_SERVER="127.0.0.1", MAIL_PORT="1")
    with app.app_context():
        send_mail("you@example.com", "Subject", "Text")
        assert waiting() == ["you@example.com"]
        told = next(record.getMessage() for record in caplog.records if record.name == "flagstone.mail")
        assert "127.0.0.1:1 did not take a mail, trying again in" in told
        assert "refused" in told
        assert "you@example.com" not in caplog.text
        with mail_server() as server:
            app.config["MAIL_PORT"] = server.port
            until(lambda: deliver.delay() and not waiting())
    assert server.recipients() == ["you@example.com"]


def test_a_server_that_is_down_is_not_asked_for_each_mail(make_app, caplog, monkeypatch):
    """Each would hold a process for MAIL_TIMEOUT."""
    monkeypatch.setattr(Task, "backoff", lambda _: 60)
    app = make_app(MAIL_SERVER="127.0.0.1", MAIL_PORT="1")
    with app.app_context():
        for number in range(5):
            send_mail(f"{number}@example.com", "Subject", "Text")
        assert len(waiting()) == 5
    assert caplog.text.count("did not take a mail") == 1


def test_a_refused_recipient_holds_up_no_other_mail(make_app, caplog):
    with mail_server() as server:
        server.unwanted = {"no@example.com"}
        app = make_app(MAIL_SERVER="127.0.0.1", MAIL_PORT=str(server.port))
        with app.app_context():
            for to in ("no@example.com", "you@example.com"):
                send_mail(to, "Subject", "Text")
            assert waiting() == ["no@example.com"]
    assert server.recipients() == ["you@example.com"]
    told = [record.getMessage() for record in caplog.records if record.name == "flagstone.mail"]
    assert any("was refused, trying again in" in line for line in told)
    assert not any("@example.com" in line for line in told)


def test_a_server_that_closes_in_anger_has_the_mail_all_the_same(make_app):
    with mail_server() as server:
        server.goodbye = "421 too many connections"
        app = make_app(MAIL_SERVER="127.0.0.1", MAIL_PORT=str(server.port))
        with app.app_context():
            send_mail("you@example.com", "Subject", "Text")
            assert not waiting()
            deliver.delay()
    assert server.recipients() == ["you@example.com"]


def test_a_mail_that_no_server_takes_is_given_up_and_told(make_app, caplog):
    app = make_app(MAIL_SERVER="127.0.0.1", MAIL_PORT="1")
    with app.app_context():
        send_mail("you@example.com", "Subject", "Text")
        deliver.delay()
        assert waiting()
        app.config["MAIL_EXPIRES"] = 0
        deliver.delay()
        assert not waiting()
    assert "was given up" in caplog.text


def test_a_queue_that_is_away_loses_no_mail(make_app):
    with make_app(REDIS_URL="redis://127.0.0.1:1").app_context():
        send_mail("you@example.com", "Subject", "Text")
        assert waiting() == ["you@example.com"]


@pytest.mark.parametrize(
    ("to", "subject"),
    [
        ("you@example.com\nBcc: all@example.com", "x"),
        ("you@example.com, all@example.com", "x"),
        ("you@example.com>\r\nDATA", "x"),
        ("you@example.com", "x\nBcc: all@example.com"),
        ("you@example.com", "x\r\n\r\nbody"),
        ("nobody", "x"),
        ("", "x"),
    ],
)
def test_no_header_can_be_smuggled_in(app, to, subject):
    with app.app_context(), pytest.raises(ValueError, match=r"address|linefeed"):
        send_mail(to, subject, "Text")


def test_without_a_server_the_mail_is_in_the_log_and_its_text_in_development_only(app, make_app, caplog):
    caplog.set_level(logging.INFO)
    with app.app_context():
        send_mail("you@example.com", "Your order", "secret link")
    assert "Your order" in caplog.text
    assert "secret link" not in caplog.text
    app.config["APP_ENV"] = "Dev"
    with app.app_context():
        send_mail("you@example.com", "Your order", "secret link")
    assert "secret link" in caplog.text


def test_the_port_follows_the_kind_of_encryption(make_app):
    assert port(make_app().config) == 25
    assert port(make_app(MAIL_USE_TLS="1").config) == 587
    assert port(make_app(MAIL_USE_SSL="1").config) == 465
    assert port(make_app(MAIL_USE_SSL="1", MAIL_PORT="1465").config) == 1465


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"MAIL_USE_TLS": "1", "MAIL_USE_SSL": "1"}, "MAIL_USE_SSL"),
        ({"MAIL_USE_TLS": "1", "MAIL_USERNAME": "hunter1"}, "MAIL_PASSWORD"),
        ({"MAIL_USE_TLS": "1", "MAIL_PASSWORD": "hunter2"}, "MAIL_USERNAME"),
        ({"MAIL_USERNAME": "hunter1", "MAIL_PASSWORD": "hunter2"}, "MAIL_USE_TLS"),
        ({"MAIL_DEFAULT_SENDER": "hunter3"}, "MAIL_DEFAULT_SENDER"),
        ({"MAIL_DEFAULT_SENDER": "a@example.com\nBcc: hunter4@example.com"}, "MAIL_DEFAULT_SENDER"),
        ({"MAIL_PORT": "smtp"}, "MAIL_PORT"),
        ({"MAIL_PORT": "70000"}, "MAIL_PORT"),
        ({"TASK_TIME_LIMIT": "0"}, "TASK_TIME_LIMIT"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_by_name(wrong, named):
    with pytest.raises(ConfigError) as error:
        load({"APP_ENV": "Test", **wrong})
    assert list(error.value.faults) == [named]
    assert "hunter" not in str(error.value)


def test_the_command_refuses_what_is_no_address(app):
    result = app.test_cli_runner().invoke(args=["send-test-mail", "nobody"])
    assert result.exit_code == 2
    assert "expected one mail address" in result.output
    assert app.test_cli_runner().invoke(args=["send-test-mail", "you@example.com"]).exit_code == 0


def test_a_message_says_that_nobody_wrote_it(app):
    with app.app_context():
        assert compose("you@example.com", "x", "y")["Auto-Submitted"] == "auto-generated"
