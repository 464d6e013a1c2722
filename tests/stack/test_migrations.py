"""The models and the migrations say the same, and each migration leads back."""

import pytest

SCRATCH = "postgresql://app@db/scratch"


@pytest.fixture
def scratch(prod):
    """A database of its own; returns a function that runs flask on it."""
    psql = ("exec", "-T", "db", "psql", "--username", "app", "--command")
    prod.compose(*psql, "CREATE DATABASE scratch")

    def flask(*command):
        return prod.once("migrate", "flask", *command, environment={"DATABASE_URL": SCRATCH})

    try:
        yield flask
    finally:
        prod.compose(*psql, "DROP DATABASE scratch WITH (FORCE)")


def test_migrations_lead_to_the_models_and_back_and_forth(prod, scratch):
    for command in (["db", "upgrade"], ["db", "downgrade", "base"], ["db", "upgrade"], ["db", "check"]):
        done = scratch(*command)
        assert done.returncode == 0, (command, done.stderr)


def test_a_model_without_its_migration_is_found(prod, scratch):
    assert scratch("db", "upgrade", "0001").returncode == 0
    assert scratch("db", "check").returncode != 0
