"""The application by itself: SQLite, and a cache in the process."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app import create_app
from flagstone.config import load
from flagstone.extensions import db


@pytest.fixture
def app(tmp_path):
    return create_app(load({"APP_ENV": "Test", "UPLOAD_FOLDER": str(tmp_path)}))


def test_the_front_page_shows_the_message_and_where_it_runs(app):
    page = app.test_client().get("/")
    assert page.status_code == 200
    assert "Hello, world" in page.text
    assert "Test" in page.text


def test_an_unknown_address_gets_the_error_page_with_the_request_id(app):
    page = app.test_client().get("/nowhere")
    assert page.status_code == 404
    assert page.headers["X-Request-ID"] in page.text


def test_the_migrations_make_what_the_models_say(app):
    def ours(_, name, kind, *__):  # and not of tests/probe, which may have been loaded before
        return kind != "table" or not name.startswith("probe_")

    with app.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours})
        assert compare_metadata(context, db.metadata) == []
