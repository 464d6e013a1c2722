"""flagstone/environment.py: what an application finds in os.environ that knows nothing of this stack."""

import subprocess
import sys

import pytest

from flagstone import environment


@pytest.fixture
def complete(tmp_path, monkeypatch):
    """The environment completed, with these secrets in files."""
    monkeypatch.setattr(environment, "SECRETS", str(tmp_path))

    def run(secrets, **environ):
        for name, text in secrets.items():
            (tmp_path / name.lower()).write_text(text)
            environ[f"{name}_FILE"] = str(tmp_path / name.lower())
        environment.complete(environ)
        return environ

    return run


def test_a_secret_stands_under_its_own_name(complete):
    assert complete({"SECRET_KEY": "abc\n"}) == {"SECRET_KEY": "abc"}


@pytest.mark.parametrize(
    ("url", "complete_url"),
    [
        ("postgresql://app@db/app", "postgresql://app:p%40s%2Fs@db/app"),
        (
            "postgresql://app@[::1]:5432/app?sslmode=require",
            "postgresql://app:p%40s%2Fs@[::1]:5432/app?sslmode=require",
        ),
    ],
)
def test_an_address_has_its_password(complete, url, complete_url):
    assert complete({"DATABASE_PASSWORD": "p@s/s"}, DATABASE_URL=url) == {"DATABASE_URL": complete_url}


def test_redis_has_no_user(complete):
    assert complete({"REDIS_PASSWORD": "p"}, REDIS_URL="redis://redis:6379/0") == {
        "REDIS_URL": "redis://:p@redis:6379/0"
    }


@pytest.mark.parametrize("url", ["postgresql://app:own@db/app", "sqlite:////srv/own.db", "nonsense", ""])
def test_an_address_that_takes_no_password_stays(complete, url):
    """flagstone/config.py says what is wrong with it, if anything is."""
    assert complete({"DATABASE_PASSWORD": "p"}, DATABASE_URL=url)["DATABASE_URL"] == url


def test_what_is_set_twice_or_cannot_be_read_stays_and_is_told_at_the_start(complete):
    twice = complete({"SECRET_KEY": "abc"}, SECRET_KEY="other")
    assert twice["SECRET_KEY"] == "other"
    assert "SECRET_KEY_FILE" in twice
    missing = {"SECRET_KEY_FILE": f"{environment.SECRETS}/nowhere"}
    assert complete({}, **missing) == missing


def test_files_that_are_no_secrets_are_left_alone(complete):
    names = {"LOG_FILE": "/var/log/app/app.log", "SSL_CERT_FILE": "/etc/ssl/own.pem"}
    assert complete({}, **names) == names


def test_another_program_gets_it_too():
    said = "import os; print(os.environ['REDIS_URL'])"
    environ = {"REDIS_URL": "redis://redis:6379/0", "REDIS_PASSWORD": "p"}
    command = [sys.executable, "-m", "flagstone.environment", sys.executable, "-c", said]
    assert subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout == (
        "redis://:p@redis:6379/0\n"
    )
