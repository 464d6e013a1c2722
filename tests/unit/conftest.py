import importlib
import importlib.util
import os
from pathlib import Path

import pytest

from flagstone.config import load
from tests.probe import create_app

FLAGSTONE = Path(__file__).parents[2] / "flagstone"


@pytest.fixture(autouse=True)
def settings_of_the_probe(monkeypatch):
    """APP_MODULE would name them, if the probe were no package within another."""
    monkeypatch.setattr("flagstone.config.part_of_app", lambda name: importlib.import_module(f"tests.probe.{name}"))


def maker(create_app, folder):
    """Builds the app with settings as the environment would give them. No database, no Redis: SQLite and memory."""
    return lambda **environ: create_app(load({"APP_ENV": "Test", "UPLOAD_FOLDER": str(folder), **environ}))


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
def gunicorn_conf(monkeypatch):
    """Runs gunicorn.conf.py the way gunicorn does, with only these environment variables."""

    def run(**environ):
        for name in [name for name in os.environ if name.startswith(("GUNICORN_", "WEB_"))]:
            monkeypatch.delenv(name, raising=False)
        for name, value in ({"APP_ENV": "Test"} | environ).items():
            monkeypatch.setenv(name, value)
        spec = importlib.util.spec_from_file_location("gunicorn_conf", FLAGSTONE / "gunicorn.conf.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return run
