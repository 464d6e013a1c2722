"""A volume of the first versions, whose `app` is a superuser, becomes what a new one is: make db-roles."""

import pytest

from tests.shell import docker, run
from tests.stack.conftest import development
from tests.stack.test_roles import ask
from tests.wait import until

pytestmark = pytest.mark.long

# Whatever an application may have made, or somebody with the superuser that it was.
OWNED = """
CREATE TABLE rows (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, word text);
INSERT INTO rows (word) SELECT 'word ' || n FROM generate_series(1, 1000) AS n;
CREATE TABLE days (day date) PARTITION BY RANGE (day);
CREATE TABLE this_day PARTITION OF days FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
CREATE VIEW seen AS SELECT * FROM rows;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM rows;
CREATE SEQUENCE counter;
CREATE TYPE colour AS ENUM ('red');
CREATE TYPE pair AS (x int, y int);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE SCHEMA "An odd one";
CREATE TABLE "An odd one"."A Table" ();
CREATE FUNCTION one(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE two() LANGUAGE sql AS 'SELECT 2';
CREATE AGGREGATE three(*) (sfunc = int8inc, stype = int8, initcond = '0');
CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq);
CREATE COLLATION plain FROM "C";
CREATE TEXT SEARCH DICTIONARY words (template = simple);
CREATE TEXT SEARCH CONFIGURATION texts (copy = simple);
CREATE STATISTICS together ON id, word FROM rows;
SELECT lo_create(4711);
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;
"""
EXTENSION = "CREATE EXTENSION citext;"
READER = "CREATE ROLE reader;"
KILLED = "CREATE ROLE converting SUPERUSER LOGIN;"  # what a try left that was killed
POWERS = """
SELECT json_agg(r) FROM (
  SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolpassword IS NULL,
    array(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = pg_authid.oid),
    (SELECT setconfig FROM pg_db_role_setting WHERE setrole = pg_authid.oid)
  FROM pg_authid WHERE rolname <> 'reader' ORDER BY rolname) AS r;
SELECT json_agg(d) FROM (SELECT datname, datdba::regrole, datacl::text FROM pg_database ORDER BY datname) AS d;
SELECT nspowner::regrole, nspacl FROM pg_namespace WHERE nspname = 'public'
"""
OF_APP = """
SELECT pg_describe_object(classid, objid, objsubid) AS what FROM pg_shdepend
WHERE deptype = 'o' AND refobjid = 'app'::regrole AND dbid <> 0 ORDER BY what
"""


@pytest.fixture(scope="module")
def former():
    """A development site on such a volume, and what it becomes."""
    stack = development("former")
    name, volume = f"{stack.project}-first", f"{stack.project}_db"
    labels = ("project=" + stack.project, "volume=db")
    docker("volume", "create", *(f"--label=com.docker.compose.{label}" for label in labels), volume)
    secret = "/run/secrets/postgres_password"
    docker(
        *("run", "--detach", "--name", name, "--user", "999:999", f"--volume={volume}:/var/lib/postgresql"),
        *("--env=POSTGRES_USER=app", "--env=POSTGRES_PASSWORD=x", f"--env=POSTGRES_INITDB_ARGS=--pwfile={secret}"),
        f"--volume={stack.folder.resolve()}/secrets/postgres_password:{secret}:ro",
        "postgres:18",
    )
    try:
        until(lambda: docker("exec", name, "pg_isready", "--host=127.0.0.1"))
        docker("exec", name, "psql", "-U", "app", "-v", "ON_ERROR_STOP=1", "-c", READER + OWNED + EXTENSION + KILLED)
        docker("stop", name)
        docker("rm", name)
        with stack:
            yield stack
    finally:
        docker("rm", "--force", "--volumes", name)


def db_roles(stack):
    return run("make", "db-roles", COMPOSE_PROJECT_NAME=stack.project, **stack.environment)


def test_the_application_goes_on_and_is_no_superuser_any_more(former):
    """Before, it starts as it is."""
    assert former.site.post_json("/api/items", {"name": "before", "text": ""}).status == 201
    in_use = "docker", "exec", former.container("db"), "psql", "-U", "app", "-Atc"
    assert run(*in_use, "SELECT rolsuper FROM pg_roles WHERE rolname = 'app'").stdout.strip() == "t"
    assert "convert" in db_roles(former).stdout
    former.await_health("ok")
    assert former.site.post_json("/api/items", {"name": "after", "text": ""}).status == 201
    assert {*former.sql("SELECT name FROM probe_item").split()} == {"before", "after"}
    assert "permission denied" in ask(former, "app", "SELECT pg_read_file('/etc/passwd')").stderr
    superusers = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'postgres' AND client_addr IS NOT NULL"
    assert former.sql(superusers) == "0"


def test_a_second_time_changes_nothing(former):
    first = db_roles(former) and former.sql(POWERS)
    again = db_roles(former)
    assert "convert" not in again.stdout
    assert (former.sql(POWERS), again.stderr.count("NOTICE")) == (first, 0)


def test_what_was_made_is_the_applications_to_change(former):
    db_roles(former)
    assert former.sql("SELECT count(*), sum(n), max(word) FROM rows") == "1000|500500|word 999"
    changed = ask(former, "app", "ALTER TABLE rows ADD other citext; CREATE TABLE later ()")
    assert changed.returncode == 0, changed.stderr
    assert former.sql("SELECT has_table_privilege('reader', 'later', 'SELECT')") == "t"
    dropped = ask(former, "app", "DROP TABLE later")
    assert dropped.returncode == 0, dropped.stderr


def test_all_is_as_in_a_new_volume(former):
    """The roles, what they may, and what the application owns."""
    db_roles(former)
    powers, owned = former.sql(POWERS), former.sql(OF_APP)
    former.down("--volumes")
    former.up()
    former.sql(READER)
    made = ask(former, "app", OWNED)
    assert made.returncode == 0, made.stderr
    assert former.sql(POWERS) == powers
    assert former.sql(OF_APP).splitlines() == owned.splitlines()
