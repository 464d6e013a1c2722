"""What each role of the database may, over the network: the application's owns its database, and nothing else."""

import pytest

SECRETS = {"app": "postgres_password", "app_b": "postgres_password_b"}
SECRETS |= {role: f"postgres_{role}_password" for role in ("backup", "monitor")}


def ask(stack, role, statement, database="app", **more):
    """The finished psql of a statement, from inside the network `data` with the role's own password."""
    secret = (stack.folder / "secrets" / SECRETS.get(role, "postgres_password")).read_text()
    words = {"host": "db", "user": role, "dbname": database, "password": secret, **more}
    login = " ".join(f"{name}={value}" for name, value in words.items())
    return stack.try_exec("db", "psql", "-v", "ON_ERROR_STOP=1", "-Atc", statement, login)


@pytest.mark.parametrize("role", ["app", "app_b"])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "CREATE TEMP TABLE lines (line text); COPY lines FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/written'",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "CREATE EXTENSION file_fdw",
        "CREATE FUNCTION run(cstring) RETURNS int LANGUAGE c AS '/lib/x86_64-linux-gnu/libc.so.6', 'system'",
        "SELECT rolpassword FROM pg_authid",
        "CREATE ROLE another",
        "ALTER ROLE app SUPERUSER",
        "ALTER ROLE monitor PASSWORD 'mine'",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "GRANT pg_read_server_files TO app",
        "CREATE DATABASE another",
        "ALTER SYSTEM SET archive_command = 'id'",
        "SELECT pg_create_physical_replication_slot('mine')",
    ],
)
def test_the_application_has_no_power_over_the_server(prod, role, statement):
    refused = ask(prod, role, statement)
    assert refused.returncode != 0, refused.stdout
    assert "permission denied" in refused.stderr, refused.stderr


@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_the_application_comes_into_no_other_database(prod, database):
    assert "no pg_hba.conf entry" in ask(prod, "app", "SELECT 1", database).stderr
    assert prod.sql(f"SELECT has_database_privilege('app', '{database}', 'CONNECT')") == "f"


def test_the_application_owns_what_is_in_its_database(stack):
    owners = "SELECT DISTINCT relowner::regrole FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert stack.sql(owners) == "app"


def test_its_two_logins_make_what_is_of_one(prod):
    """With trusted extensions, and indexes that are made beside the running application."""
    made = ask(prod, "app_b", "CREATE TABLE made (word text)")
    assert made.returncode == 0, made.stderr
    try:
        indexed = ask(prod, "app", "CREATE INDEX CONCURRENTLY ON made (word)")
        assert indexed.returncode == 0, indexed.stderr
        extended = ask(prod, "app_b", "CREATE EXTENSION citext; ALTER TABLE made ALTER word TYPE citext")
        assert extended.returncode == 0, extended.stderr
    finally:
        dropped = ask(prod, "app", "DROP TABLE made; DROP EXTENSION IF EXISTS citext")
    assert dropped.returncode == 0, dropped.stderr


def test_the_superuser_comes_by_no_network(prod):
    assert "no pg_hba.conf entry" in ask(prod, "postgres", "SELECT 1").stderr
    assert "no pg_hba.conf entry" in ask(prod, "postgres", "SELECT 1", host="127.0.0.1").stderr
    assert prod.sql("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'postgres'") == "t"


@pytest.mark.parametrize("role", SECRETS)
def test_each_role_needs_its_own_password(prod, role):
    more = {"replication": 1} if role == "backup" else {}
    statement = "IDENTIFY_SYSTEM" if role == "backup" else "SELECT 1"
    assert ask(prod, role, statement, **more).returncode == 0
    for other in {*SECRETS.values()} - {SECRETS[role]}:
        password = (prod.folder / "secrets" / other).read_text()
        assert "password authentication failed" in ask(prod, role, statement, password=password, **more).stderr
    assert role in prod.sql("SELECT rolname FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256$%'").split()


def test_replication_is_for_the_backup_and_the_backup_for_replication(prod):
    assert ask(prod, "backup", "IDENTIFY_SYSTEM", replication=1).returncode == 0
    for role in ("app", "monitor", "postgres"):
        assert "no pg_hba.conf entry for replication" in ask(prod, role, "IDENTIFY_SYSTEM", replication=1).stderr
    assert "no pg_hba.conf entry" in ask(prod, "backup", "SELECT 1").stderr


def test_the_monitor_sees_the_server_and_no_row(prod):
    seen = ask(prod, "monitor", "SELECT count(*) FROM pg_stat_activity WHERE query <> '<insufficient privilege>'")
    assert int(seen.stdout) > 0
    assert ask(prod, "monitor", "SELECT size FROM pg_ls_waldir() LIMIT 1").returncode == 0
    assert "permission denied" in ask(prod, "monitor", "SELECT * FROM probe_item").stderr
