"""`make test` runs two processes side by side: one tests the production stack, the other all the rest."""

import os
import shutil
from pathlib import Path

import pytest

# Here and not in a hook: tests/stack/conftest.py reads TEST_ID as soon as it is loaded.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    # Tests edit the files that containers have mounted, so each process has a checkout of its own.
    shutil.copytree(Path.cwd(), worker, symlinks=True, ignore=shutil.ignore_patterns("gw*"))
    os.chdir(worker)
    os.environ["TEST_ID"] += f"-{worker}"


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items):
    """What shares a stack runs in one process; images and unit tests run in whichever is free."""
    for item in items:
        if "prod" in item.fixturenames or "[prod" in item.name:
            item.add_marker(pytest.mark.xdist_group("production"))
        elif item.path.parent.name in ("stack", "tls", "attack"):
            item.add_marker(pytest.mark.xdist_group("others"))
