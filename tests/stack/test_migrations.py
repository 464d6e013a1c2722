"""The models and the migrations say the same, and each migration leads back."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.wait import until

SCRATCH = "postgresql://app@db/app_scratch"


@pytest.fixture
def scratch(prod):
    """A database of its own; returns a function that runs flask on it, and `flask migrate` as the service does."""
    prod.sql("CREATE DATABASE app_scratch OWNER app")

    def flask(*command):
        if command == ("migrate",):
            return prod.once("migrate", environment={"DATABASE_URL": SCRATCH})
        return prod.try_exec("app", "flask", *command, DATABASE_URL=SCRATCH)

    try:
        yield flask
    finally:
        prod.sql("DROP DATABASE app_scratch WITH (FORCE)")


def test_migrations_lead_to_the_models_and_back_and_forth(prod, scratch):
    for command in (["db", "upgrade"], ["db", "downgrade", "base"], ["db", "upgrade"], ["db", "check"]):
        done = scratch(*command)
        assert done.returncode == 0, (command, done.stderr)


ENUM = """
import enum, os
import flask_migrate
from app import create_app
from flagstone.extensions import db
from sqlalchemy.orm import Mapped, mapped_column

Colour = enum.Enum("Colour", ["RED", "BLUE"])

class Painted(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    colour: Mapped[Colour]

with create_app().app_context():
    flask_migrate.upgrade("/tmp/m")
    flask_migrate.migrate("/tmp/m", message="paint")
    flask_migrate.upgrade("/tmp/m")
    db.session.add(Painted(colour=Colour.BLUE))
    db.session.commit()
    assert db.session.scalar(db.select(Painted.colour)) is Colour.BLUE
    db.session.close()
    flask_migrate.downgrade("/tmp/m")
    flask_migrate.upgrade("/tmp/m")
"""


def test_an_enum_can_be_migrated_back_and_forth(prod, scratch):
    script = f"rm -rf /tmp/m; cp -r app/migrations /tmp/m; FLASK_RUN_FROM_CLI=1 exec python -c '{ENUM}'"
    done = prod.try_exec("app", "sh", "-c", script, DATABASE_URL=SCRATCH)
    assert done.returncode == 0, done.stdout


def test_a_model_without_its_migration_is_found(prod, scratch):
    assert scratch("db", "upgrade", "0001").returncode == 0
    assert scratch("db", "check").returncode != 0


def in_scratch(prod, statement):
    return prod.exec("db", "psql", "-U", "app", "-d", "app_scratch", "-Atc", statement)


def test_a_database_that_is_ahead_of_the_release_is_left_alone(prod, scratch):
    """It was deployed, and rolled back: the older release starts all the same."""
    assert scratch("migrate").returncode == 0
    in_scratch(prod, "UPDATE alembic_version SET version_num = 'later'")
    done = scratch("migrate")
    assert done.returncode == 0, done.stderr
    assert "ahead of this release by later" in done.stdout


def test_a_migration_lets_others_pass_while_a_table_is_in_use(prod, scratch):
    """It gives its place in the queue up, for whoever comes after it waits for it; and tries again."""
    assert scratch("db", "upgrade", "0001").returncode == 0
    hold = "BEGIN; LOCK TABLE alembic_version IN SHARE MODE; SELECT pg_sleep(600)"

    def locks(which):
        here = "locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        return in_scratch(prod, f"SELECT pid FROM pg_locks WHERE {here} AND {which}")  # noqa: S608

    with ThreadPoolExecutor(2) as pool:
        pool.submit(prod.try_exec, "db", "psql", "-U", "app", "-d", "app_scratch", "-c", hold)
        holder = until(lambda: locks("granted AND mode = 'ShareLock'"))
        migrated = pool.submit(scratch, "migrate")
        try:
            until(lambda: locks("NOT granted"), what="the migration waits")
            until(lambda: not locks("NOT granted"), what="it has stepped back")
        finally:
            prod.sql(f"SELECT pg_terminate_backend({holder})")
        done = migrated.result()
    assert done.returncode == 0, done.stderr
    assert "A table is in use, trying again" in done.stdout
