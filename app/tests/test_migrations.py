"""The migrations of this application make the tables of its models."""

from tests.unit.test_database import differences


def test_the_migrations_make_the_tables_of_the_models(app):
    assert differences(app, lambda name: not name.startswith("probe_")) == []
