"""This application in Python, without services. What it runs on has its tests in tests/."""

from contextlib import contextmanager
from functools import cache

import pytest
from argon2 import PasswordHasher
from sqlalchemy import event

from app import create_app
from app.auth import keys, passwords
from flagstone.extensions import db

# Where only these tests run, they need of tests/ what pytest finds there by itself otherwise.
from tests.conftest import pytest_collection_modifyitems, pytest_configure, pytest_runtest_teardown  # noqa: F401
from tests.unit.conftest import maker
from tests.unit.test_background import published  # noqa: F401 - a fixture
from tests.unit.test_uploads import kept  # noqa: F401 - a fixture

USER = {"email": "user@example.test", "password": "correct horse battery"}


def sign_up(client, **fields):
    """The client, with the session of a new user."""
    assert client.post("/register", data=USER | fields).status_code == 303
    return client


@contextmanager
def queries(app):
    """The statements of the block."""
    asked = []
    with app.app_context():
        engine = db.engine

    def note(connection, cursor, statement, *_):
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


read, generate = cache(keys.load_pem_private_key), cache(keys.generate_private_key)


@pytest.fixture(autouse=True)
def quick_secrets(monkeypatch):
    """Hashes that cost nothing, and one key for all applications that have none of their own."""
    monkeypatch.setattr(passwords, "hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    monkeypatch.setattr(keys, "load_pem_private_key", read)
    monkeypatch.setattr(keys, "generate_private_key", generate)


@pytest.fixture
def make_app(tmp_path):
    return maker(create_app, tmp_path / "uploads")


@pytest.fixture
def app(make_app):
    return make_app()


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def user(app):
    """A client that is signed in."""
    return sign_up(app.test_client())
