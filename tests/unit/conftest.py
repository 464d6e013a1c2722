import importlib.util
from contextlib import contextmanager
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import event

from app import create_app
from app.auth import passwords
from flagstone.config import load
from flagstone.extensions import db

APP = Path(__file__).parents[2] / "app"
FLAGSTONE = APP.with_name("flagstone")
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


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch):
    monkeypatch.setattr(passwords, "hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def make_app(tmp_path):
    """Builds the app with settings as the environment would give them. No database, no Redis: SQLite and memory."""
    folder = str(tmp_path / "uploads")
    return lambda **environ: create_app(load({"APP_ENV": "Test", "UPLOAD_FOLDER": folder, **environ}))


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


@pytest.fixture
def gunicorn_conf(monkeypatch):
    """Runs gunicorn.conf.py the way gunicorn does, with only these environment variables."""

    def run(**environ):
        for name in ("GUNICORN_PROCESSES", "WEB_CONCURRENCY", "GUNICORN_WORKER_CONNECTIONS", "GUNICORN_RELOAD"):
            monkeypatch.delenv(name, raising=False)
        for name, value in ({"APP_ENV": "Test"} | environ).items():
            monkeypatch.setenv(name, value)
        spec = importlib.util.spec_from_file_location("gunicorn_conf", FLAGSTONE / "gunicorn.conf.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return run
