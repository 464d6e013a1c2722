"""What the db service relies on."""

import pytest

from tests.images.container import HARDENED, once, settings, shell, started, version, volume, write
from tests.shell import docker
from tests.wait import until

TMPFS = ("--tmpfs=/tmp", "--tmpfs=/var/run/postgresql:uid=999,gid=999,mode=0775")
PASSWORD_FILE = "/docker-entrypoint-initdb.d/password"
INITDB = f"--pwfile={PASSWORD_FILE}"
PASSWORD = ("--env=POSTGRES_USER=app", "--env=POSTGRES_PASSWORD=x", f"--env=POSTGRES_INITDB_ARGS={INITDB}")
INIT = {
    # Fails, and with it the start, when the server answers over TCP before it is ready.
    "10-no-tcp.sh": '#!/bin/sh\n! pg_isready --quiet --host=127.0.0.1 && echo "executed as $0"',
    "20-sourced.sh": 'echo "sourced for $POSTGRES_DB"',
    "30-table.sql": "CREATE TABLE seen AS SELECT current_user, current_database();",
    "password": "s3cret word",
}


def ask(container, sql, host="127.0.0.1", password=INIT["password"], **more):
    login = f"host={host} user=app dbname=app password='{password}'"
    return container.exec("psql", login, "--no-password", "--tuples-only", "--no-align", "-c", sql, **more)


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """Initialised once, with everything that the production file does to it."""
    folder = write(tmp_path_factory.mktemp("init"), INIT)
    (folder / "20-sourced.sh").chmod(0o644)
    with volume("postgres", folder) as init:
        options = ("--user=999:999", *HARDENED, *TMPFS, *PASSWORD, f"--volume={init}:/docker-entrypoint-initdb.d:ro")
        with started("postgres", "postgres", "-cmax_connections=17", options=options) as container:
            until(lambda: ask(container, "SELECT 1"))
            yield container


def test_a_container_is_the_server():
    assert settings("postgres")["Cmd"] == ["postgres"]
    assert settings("postgres")["StopSignal"] == "SIGINT"


def test_server_and_clients_are_of_the_tags_version():
    said = shell("postgres", "for tool in postgres psql pg_dump pg_isready initdb; do $tool --version; done")
    assert said.count(f"(PostgreSQL) {version('postgres')}.") == 5


def test_the_data_lives_below_the_volume_by_major_version(db):
    assert list(settings("postgres")["Volumes"]) == ["/var/lib/postgresql"]
    assert ask(db, "SHOW data_directory") == f"/var/lib/postgresql/{version('postgres')}/docker"


def test_it_runs_as_999_with_no_right_to_be_more(db):
    assert db.uid() == "999"
    assert shell("postgres", "id postgres").startswith("uid=999(postgres) gid=999(postgres)")


def test_the_database_is_named_like_the_user(db):
    assert ask(db, "SELECT current_database(), current_user, encoding FROM pg_database LIMIT 1") == "app|app|6"


def test_texts_sort_by_the_locale_of_the_official_image(db):
    assert ask(db, "SELECT datcollate FROM pg_database WHERE datname = 'app'") == "en_US.utf8"


def test_options_are_given_to_the_server(db):
    assert ask(db, "SHOW max_connections") == "17"


def test_init_files_run_once_and_before_anyone_can_connect(db):
    assert ask(db, "SELECT * FROM seen") == "app|app"
    assert "executed as /docker-entrypoint-initdb.d/10-no-tcp.sh" in db.logs()
    assert "sourced for app" in db.logs()


def test_the_network_needs_the_password(db):
    address = db.exec("hostname", "-i")
    assert ask(db, "SELECT 1", host=address) == "1"
    with pytest.raises(AssertionError, match="password authentication failed"):
        ask(db, "SELECT 1", host=address, password="wrong")
    assert "scram-sha-256" in db.exec("sh", "-c", "tail -n1 $PGDATA/pg_hba.conf")


def test_a_password_from_a_file_is_in_the_environment_of_no_process(db):
    environment = db.exec("sh", "-c", "cat /proc/[0-9]*/environ")
    assert "POSTGRES_USER=app" in environment
    assert INIT["password"] not in environment


@pytest.mark.parametrize("content", [None, ""])
def test_a_password_file_that_is_missing_or_empty_stops_the_start(tmp_path, content):
    files = [] if content is None else [(f"{write(tmp_path, {'password': content})}/.", "/docker-entrypoint-initdb.d")]
    code, log = once("postgres", options=("--user=999:999", *PASSWORD), files=files)
    assert code == 1
    assert PASSWORD_FILE in log


def test_an_empty_directory_needs_a_password():
    code, log = once("postgres")
    assert code == 1
    assert "POSTGRES_PASSWORD" in log


def test_a_volume_at_the_directory_of_older_versions_is_refused():
    options = ("--env=POSTGRES_PASSWORD=a", "--volume=/var/lib/postgresql/data")
    code, log = once("postgres", options=options)
    assert code == 1
    assert "/var/lib/postgresql/data" in log


def test_data_is_kept_over_a_restart_and_initialised_once(db):
    ask(db, "CREATE TABLE kept ()")
    docker("restart", "--time=20", db.name)
    until(lambda: ask(db, "SELECT count(*) FROM kept") == "0")
    assert db.logs().count("sourced for app") == 1


def test_a_failing_init_file_stops_the_start(tmp_path):
    write(tmp_path, {"10.sql": "SELECT 1/0; CREATE TABLE after_the_error ();"})
    files = [(f"{tmp_path}/.", "/docker-entrypoint-initdb.d")]
    code, log = once("postgres", options=("--user=999:999", "--env=POSTGRES_PASSWORD=a"), files=files)
    assert code != 0
    assert "division by zero" in log
