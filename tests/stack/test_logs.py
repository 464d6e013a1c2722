"""What the containers say: JSON, one object a line, with one id from nginx to the application, and no secret in it."""

import json
import re
import socket
import zlib
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.shell import run
from tests.stack.conftest import Stack
from tests.wait import until

CANARY = "Zk29canaryQx7"
FIELDS = {"time", "level", "logger", "message"}
LEVELS = {"debug", "info", "warning", "error", "critical"}


def parsed(text):
    """Each line must be an object with the fields of all lines."""
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert line.keys() >= FIELDS, line
        assert line["level"] in LEVELS
        assert datetime.fromisoformat(line["time"]).utcoffset().total_seconds() == 0
    return lines


def logged(read, **fields):
    """The one line with these fields, once it is there."""

    def found():
        return [line for line in parsed(read()) if fields.items() <= line.items()]

    (line,) = until(found, what=f"a line with {fields}")
    return line


def test_an_error_of_nginx_is_json_too_and_has_no_query(prod):
    with prod.without("app"):
        query = f"?page=1&token={CANARY}"
        answer = until(lambda: (answer := prod.site.get(f"/items{query}")).status == 502 and answer)
        assert CANARY not in answer.text

        def errors():
            return [line for line in parsed(prod.logs("nginx")) if line["logger"] == "nginx.error"]

        line = until(lambda: [line for line in errors() if "GET /items?[hidden]" in line["message"]])[-1]
        assert line["level"] in ("error", "critical")  # nginx makes a difference of why it cannot connect
        assert CANARY not in prod.compose("logs", "--no-color")


def test_nginx_logs_each_request_with_its_user_whom_the_client_is_not_told(prod):
    somebody = prod.site.post_json("/api/items", {"name": "somebody"}).json["id"]
    answer = prod.site.get(f"/user/{somebody}?page=1")
    assert "X-User" not in answer.headers
    line = logged(lambda: prod.logs("nginx"), request_id=answer.headers["X-Request-ID"])
    assert (line["status"], line["method"], line["path"]) == (200, "GET", f"/user/{somebody}")
    assert line["user"] == str(somebody)
    assert line["logger"] == "nginx.access"
    assert line["message"] == f"GET /user/{somebody} 200"
    assert 0 < line["duration"] < 20
    anonymous = prod.site.get("/", headers={"X-User": "forged"})
    assert logged(lambda: prod.logs("nginx"), request_id=anonymous.headers["X-Request-ID"])["user"] == ""


def test_an_exception_is_one_event_with_the_id_that_nginx_logged(prod):
    answer = prod.site.get("/boom")
    assert answer.status == 500
    line = logged(lambda: prod.logs("app"), request_id=answer.headers["X-Request-ID"])
    assert line["level"] == "error"
    assert line["message"] == "Exception on /boom [GET]"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert "RuntimeError: boom" in line["exception"]
    assert logged(lambda: prod.logs("nginx"), request_id=line["request_id"])["status"] == 500


def test_no_secret_is_in_any_line_of_any_container(prod):
    """Sent in every way that a client has, and told by an exception that quotes all of it."""
    sent = {
        "Authorization": f"Bearer {CANARY}a",
        "Cookie": f"theme=dark; session={CANARY}b; other={CANARY}c",
        "X-Api-Key": f"{CANARY}d",
    }
    query = f"?{urlencode({'token': f'{CANARY}e', 'next': f'/?password={CANARY}f'})}"
    form = {**sent, "Content-Type": "application/x-www-form-urlencoded"}
    body = {"user": "bob", "password": f"{CANARY}h", "nested": {"refresh_token": f"{CANARY}i"}}
    ids = []
    for path in ("/boom", "/api/items", "/absent", "/static/none.css"):
        answers = [
            prod.site.get(path + query, headers=sent),
            prod.site.request("POST", path + query, headers=form, body=f"name=x&password={CANARY}g"),
            prod.site.post_json(path + query, body, headers=sent),
        ]
        ids += [answer.headers["X-Request-ID"] for answer in answers]
    for request_id in ids:
        logged(lambda request_id=request_id: prod.logs("nginx"), request_id=request_id)
    until(lambda: "bob" in prod.logs("app"), what="what is no secret can be read")
    until(lambda: "[hidden]" in prod.logs("app"))
    said = prod.compose("logs", "--no-color")
    assert CANARY not in said
    assert prod.exec("db", "cat", "/run/secrets/postgres_password") not in said


def test_all_that_gunicorn_and_the_application_say_is_json_on_stdout(prod):
    said = run("docker", "logs", prod.container("app"))
    assert {"gunicorn.error"} <= {line["logger"] for line in parsed(said.stdout)}
    assert said.stderr == ""


def test_migrations_and_commands_log_the_same_way(prod):
    said = {line["logger"]: line["message"] for line in parsed(prod.logs("migrate"))}
    assert said["flagstone.database"] == "The database is ready."
    assert "alembic.runtime.migration" in said


@pytest.mark.parametrize(
    "environment",
    [
        {"DATABASE_URL": f"postgresql://app:{CANARY}@nowhere.invalid/app", "DATABASE_PASSWORD_FILE": ""},
        {"DATABASE_URL": f"postgresql://app:{CANARY}@db/app", "DATABASE_PASSWORD_FILE": ""},
        {"DATABASE_URL": f"postgresql://app:{CANARY}@db:port/app", "DATABASE_PASSWORD_FILE": ""},
        {"DATABASE_URL": f"postgresql://app:{CANARY}@db/app"},
        {"REDIS_URL": f"redis://:{CANARY}@:x/"},
        {"SENTRY_DSN": f"https://{CANARY}@host/none"},
    ],
)
def test_a_bad_connection_string_is_refused_without_its_password(prod, environment):
    commands = "flask wait-for-database --limit 0.1; flask db upgrade"
    result = prod.try_exec("app", "sh", "-c", commands, **environment)
    assert result.returncode == 1
    parsed(result.stdout)
    assert "Traceback" not in result.stderr
    assert CANARY not in result.stdout + result.stderr
    assert CANARY not in prod.said("db")


def test_a_statement_that_fails_is_not_in_the_log_of_the_database(prod):
    """psycopg2 writes values into statements, and PostgreSQL would log both those and the key that exists already."""
    table = f"CREATE TABLE logged (token text PRIMARY KEY); INSERT INTO logged VALUES ('{CANARY}')"  # noqa: S608
    psql = ("psql", "-U", "app", "-c")
    prod.exec("db", *psql, table)
    try:
        twice = prod.try_exec("db", *psql, table.partition(";")[2])
        assert "duplicate key" in twice.stderr
        until(lambda: "duplicate key" in prod.said("db"))
        assert CANARY not in prod.said("db")
    finally:
        prod.exec("db", *psql, "DROP TABLE logged")


def test_a_slow_statement_is_logged_with_its_request_and_its_time_and_nowhere_with_its_values(prod):
    """pg_sleep gets 1.0071 from the address, which nginx logs without its query."""
    answer = prod.site.get("/wait?seconds=1.0071")
    line = logged(lambda: prod.logs("app"), request_id=answer.headers["X-Request-ID"])
    assert (line["logger"], line["level"]) == ("flagstone.slow_statements", "warning")
    assert line["message"].endswith(" ms: SELECT pg_sleep(%(seconds)s)")
    assert 1 <= line["duration"] < 100, "seconds"
    assert "1.0071" not in prod.compose("logs", "--no-color")
    assert prod.sql("SHOW log_min_duration_statement") == "-1", "or the database would log them"


def test_certbot_logs_the_same_way(prod):
    """Whatever it says here, where there is no authority."""
    line = until(lambda: parsed(prod.logs("certbot")))[0]
    assert line["logger"] == "certbot"


def recipes(kind):
    """The blocks of this language in docs/operations.md."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", Path("docs/operations.md").read_text(), re.MULTILINE | re.DOTALL)


def with_recipe(prod, tmp_path, word):
    """The production stack with the compose file of docs/operations.md that has this word."""
    (text,) = [recipe for recipe in recipes("yaml") if "logging: {" in recipe]
    if word not in text:  # another driver's line, from the table
        (other,) = re.findall(
            rf"^\| `(logging: .* {word},.*)` \|", Path("docs/operations.md").read_text(), re.MULTILINE
        )
        text = re.sub(r"logging: .*", lambda _: other, text)
    file = tmp_path / "compose.recipe.yaml"
    file.write_text(text)
    return Stack(prod.name, (*prod.files, str(file)), prod.environment), file


def test_the_recipe_for_one_request_finds_what_both_logged(prod):
    answer = prod.site.get("/boom")
    request_id = answer.headers["X-Request-ID"]
    for service in ("nginx", "app"):
        logged(lambda service=service: prod.logs(service), request_id=request_id)
    (command,) = [recipe for recipe in recipes("sh") if "jq" in recipe]
    lines, filtered = command.split("|", 1)
    assert lines.split()[:3] == ["docker", "compose", "-f"]
    text = prod.logs("nginx") + prod.logs("app")
    found = run("sh", "-c", filtered.replace("REQUEST_ID", request_id), stdin=text).stdout.splitlines()
    loggers = [line.split(" ")[1] for line in found if line.startswith("2")]  # the others are the stack
    assert loggers == ["nginx.access", "app"]


@pytest.fixture
def log_file(prod):
    """As the documentation has it."""
    (path,) = re.findall(r"`LOG_FILE=(\S+)`", Path("docs/operations.md").read_text())
    yield {"LOG_FILE": path}
    prod.exec("app", "sh", "-c", f"rm -f {path}*")


def test_a_log_file_gets_what_every_service_of_the_application_says(prod, log_file):
    """.env gives LOG_FILE to all of them, each a container of its own."""
    speak = (
        "import logging; from flagstone import config, log; log.configure(config.load()); logging.warning('here I am')"
    )
    said = ""
    for service in ("app", "migrate", "worker", "beat"):
        result = prod.once(service, "python", "-c", speak, environment=log_file)
        assert result.returncode == 0, service + result.stderr
        said += result.stdout
    text = prod.exec("app", "cat", log_file["LOG_FILE"])
    assert len(parsed(text)) == 4
    assert text == said.strip()


def test_a_log_file_where_nothing_can_be_written_is_a_fault_of_its_setting(prod):
    result = prod.once("app", environment={"LOG_FILE": "/srv/app.log"})
    assert result.returncode != 0
    assert "LOG_FILE: expected a file that can be written (Read-only file system)" in result.stderr


def test_the_recipe_for_syslog_sends_the_lines_there(prod, tmp_path):
    """Received here, from the Docker engine."""
    here = prod.address_of(socket.gethostname(), "edge")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("", 0))
        server.settimeout(15)
        stack, file = with_recipe(prod, tmp_path, "syslog")
        address = f"udp://{here}:{server.getsockname()[1]}"
        file.write_text(re.sub(r"udp://[\w.:]+", address, file.read_text()))
        assert stack.once("app", "flask", "wait-for-database").returncode == 0
        received = server.recv(65536).decode()
    assert "app" in received.partition("{")[0]
    assert parsed("{" + received.partition("{")[2])
    services = json.loads(stack.compose("config", "--format", "json"))["services"]
    assert {service["logging"]["driver"] for service in services.values()} == {"syslog"}


@pytest.mark.parametrize(("word", "kind"), [("gelf", socket.SOCK_DGRAM), ("fluentd", socket.SOCK_STREAM)])
def test_another_driver_of_docker_sends_them_too(prod, tmp_path, word, kind):
    here = prod.address_of(socket.gethostname(), "edge")
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind(("", 0))
        server.settimeout(15)
        if kind == socket.SOCK_STREAM:
            server.listen()
        stack, file = with_recipe(prod, tmp_path, word)
        file.write_text(re.sub(r"192\.0\.2\.1:\d+", f"{here}:{server.getsockname()[1]}", file.read_text()))
        assert stack.once("app", "flask", "wait-for-database").returncode == 0
        if kind == socket.SOCK_DGRAM:  # compressed JSON
            received = json.loads(zlib.decompress(server.recv(65536), wbits=47))
            assert "app" in received["_tag"]
            (line,) = parsed(received["short_message"])
        else:  # MessagePack
            received = server.accept()[0].recv(65536)
            (line,) = parsed(re.search(rb'{"time".*?"}', received)[0].decode())
        assert line["message"] == "The database is ready."
