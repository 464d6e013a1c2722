import os
import subprocess
import sys
from typing import Literal

import pytest

from flagstone.config import ConfigError, load, override, parse

GOOD = {
    "APP_ENV": "Production",
    "SECRET_KEY": "k9Jf3mQ7xZ1vB5nT8wR2yL6pH4sD0gCa",
    "DATABASE_URL": "postgresql://app@db/app",
}


def faults(**environ):
    with pytest.raises(ConfigError) as caught:
        load(environ)
    return caught.value.faults


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("hello", str, "hello"),
        ("12", int, 12),
        ("1.5", float, 1.5),
        *[(text, bool, True) for text in ("1", "true", "True", "yes", "on")],
        *[(text, bool, False) for text in ("0", "false", "no", "OFF")],
        ("a, b,,c", list[str], ["a", "b", "c"]),
        ("1,2", list[int], [1, 2]),
        ("7", int | None, 7),
        ("info", Literal["debug", "info"], "info"),
    ],
)
def test_a_setting_gets_the_type_it_is_annotated_with(text, kind, value):
    assert parse(text, kind) == value
    assert type(parse(text, kind)) is type(value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ten", int),
        ("1.5", int),
        ("-1", int),
        ("nan", float),
        ("inf", float),
        ("maybe", bool),
        ("2", bool),
        ("1,x", list[int]),
        ("loud", Literal["debug", "info"]),
    ],
)
def test_what_does_not_parse_is_refused_without_being_shown(text, kind):
    with pytest.raises(ValueError, match="expected") as caught:
        parse(text, kind)
    assert text not in str(caught.value).split()


def test_the_environment_is_dev_where_none_is_named():
    assert load({}).APP_ENV == "Dev"
    assert load({"APP_ENV": ""}).DEBUG is True


def test_an_unknown_environment_is_refused_with_the_list_of_what_is_allowed():
    assert faults(APP_ENV="Staging") == {"APP_ENV": "expected one of Dev, Production, Test"}


def test_every_setting_can_be_overridden():
    config = load({"APP_ENV": "Test", "GREETING": "hi", "DATABASE_POOL_SIZE": "3", "DATABASE_POOL_PRE_PING": "off"})
    assert (config.GREETING, config.DATABASE_POOL_SIZE, config.DATABASE_POOL_PRE_PING) == ("hi", 3, False)


def test_a_setting_that_a_fork_adds_can_be_overridden_too():
    class Mine:
        MAIL_SERVERS: list[str] = []  # noqa: RUF012

    assert override(mine := Mine(), {"MAIL_SERVERS": "a,b"}) == {}
    assert mine.MAIL_SERVERS == ["a", "b"]


def test_an_empty_variable_is_not_set():
    assert (
        load({"APP_ENV": "Test", "DATABASE_POOL_SIZE": "", "GREETING": "", "GREETING_FILE": ""}).DATABASE_POOL_SIZE
        == 30
    )


def test_a_setting_is_read_from_a_file(tmp_path):
    (tmp_path / "secret").write_text("from a file \n")
    assert load({"APP_ENV": "Test", "SECRET_KEY_FILE": str(tmp_path / "secret")}).SECRET_KEY == "from a file "


def test_a_setting_and_its_file_at_once_are_refused(tmp_path):
    assert "both are set" in faults(GREETING="x", GREETING_FILE=str(tmp_path / "absent"))["GREETING"]


def test_a_list_has_what_both_name(tmp_path):
    """Former keys: those that `make rotate` keeps, and those that somebody adds."""
    (tmp_path / "former").write_text("second,first\n")
    both = {"SECRET_KEY_FALLBACKS": "own", "SECRET_KEY_FALLBACKS_FILE": str(tmp_path / "former")}
    assert load({"APP_ENV": "Test", **both}).SECRET_KEY_FALLBACKS == ["own", "second", "first"]


def test_a_file_that_cannot_be_read_is_named_by_its_variable(tmp_path):
    assert "GREETING_FILE (No such file or directory)" in faults(GREETING_FILE=str(tmp_path / "absent"))["GREETING"]
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfd")
    assert "GREETING_FILE (not UTF-8 text)" in faults(GREETING_FILE=str(tmp_path / "binary"))["GREETING"]


def test_production_starts_with_good_settings():
    config = load(GOOD)
    assert config.DEBUG is False
    assert config.SESSION_COOKIE_SECURE is True


@pytest.mark.parametrize(
    "key",
    [
        "",
        "short",
        "a" * 64,
        "abcabcabc" * 8,
        "change-me-1234567890-abcdefghijklmnop",
        "0123456789-My-Secret-0123456789-abc",
    ],
)
def test_production_refuses_a_weak_or_example_secret_key(key):
    assert faults(**GOOD | {"SECRET_KEY": key}).keys() == {"SECRET_KEY"}


@pytest.mark.parametrize("name", ["DEBUG", "FLASK_DEBUG", "TESTING"])
def test_production_refuses_debug(name):
    assert faults(**GOOD | {name: "1"}).keys() == {name}


def test_production_refuses_to_start_without_a_database():
    assert faults(**GOOD | {"DATABASE_URL": ""}).keys() == {"DATABASE_URL"}


@pytest.mark.parametrize("url", ["db", "postgresql:db", "http://db", "postgresql://db:port/x", "postgresql://[db/x"])
def test_what_is_no_database_url_is_refused(url):
    assert faults(**GOOD | {"DATABASE_URL": url}).keys() == {"DATABASE_URL"}


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "example.com",
        "ftp://example.com",
        "https://example.com/",
        "https://*.example.com",
        "https://a@example.com",
        "null",
    ],
)
def test_what_is_no_origin_is_refused(origin):
    assert faults(**GOOD | {"CORS_ORIGINS": f"https://good.example, {origin}"}).keys() == {"CORS_ORIGINS"}


@pytest.mark.parametrize("host", ["https://example.com", "example.com:443", "example.com/", "*.example.com"])
def test_what_is_no_host_is_refused(host):
    assert faults(**GOOD | {"TRUSTED_HOSTS": f".example.net, {host}"}).keys() == {"TRUSTED_HOSTS"}


@pytest.mark.parametrize("dsn", ["key@host/1", "https://host/1", "https://key@host", "https://key@host/one", "x"])
def test_what_is_no_address_of_sentrys_is_refused_without_being_shown(dsn):
    found = faults(**GOOD | {"SENTRY_DSN": dsn})
    assert found == {"SENTRY_DSN": "expected https://key@host/project"}


def test_a_cookie_that_browsers_would_drop_is_refused():
    assert "SESSION_COOKIE_SECURE" in faults(SESSION_COOKIE_SAMESITE="None")["SESSION_COOKIE_SAMESITE"]


def test_a_sample_rate_is_a_part_of_one():
    assert faults(**GOOD | {"SENTRY_TRACES_SAMPLE_RATE": "1.5"}).keys() == {"SENTRY_TRACES_SAMPLE_RATE"}


def test_a_second_password_is_refused():
    given = {"REDIS_URL": "redis://:one@redis", "REDIS_PASSWORD": "two"}
    assert faults(**GOOD | given).keys() == {"REDIS_PASSWORD"}


def test_all_faults_are_reported_at_once_and_no_value_is_shown(tmp_path):
    values = {"SECRET_KEY": "hunter2", "DATABASE_POOL_SIZE": "hunter3", "DEBUG": "hunter4", "REDIS_URL": "hunter5://x"}
    found = faults(APP_ENV="Production", SECRET_KEY_FILE=str(tmp_path / "absent"), **values)
    assert found.keys() == {*values, "DATABASE_URL"}
    assert "hunter" not in str(ConfigError(found))


@pytest.mark.parametrize(
    "command", ["gunicorn --config flagstone/gunicorn.conf.py app:create_app()", "flask --app app routes"]
)
def test_the_process_ends_at_once_with_readable_lines_and_no_traceback(command):
    environ = {"PATH": os.environ["PATH"], "APP_ENV": "Production", "SECRET_KEY": "hunter2", "GUNICORN_PROCESSES": "x"}
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert "The app cannot start with this configuration:" in lines
    assert {line.split(":")[0] for line in lines} >= {"  - SECRET_KEY", "  - DATABASE_URL"}
    assert ("  - GUNICORN_PROCESSES: expected a whole number, 0 or more" in lines) == ("gunicorn" in command)
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
