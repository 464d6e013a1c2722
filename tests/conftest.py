"""Each process of the tests works in a copy of the checkout, whose application is tests/probe: what holds there, holds
for any. Python imports from the checkout itself, where `app` is the application; app/tests is about that one.
"""

import os
import shutil
from functools import cache
from pathlib import Path

import pytest

from tests.shell import run

ROOT = Path(__file__).parents[1]
COPIES = ROOT / "copies"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if WORKER:  # here, because tests/stack/conftest.py reads it as soon as it is loaded
    os.environ["TEST_ID"] += f"-{WORKER}"


def copy(name):
    """The checkout once more, for tests that edit files which containers have mounted."""
    return Path(
        shutil.copytree(
            ROOT, COPIES / f"{name}{WORKER}", symlinks=True, ignore=shutil.ignore_patterns("artifacts", "copies")
        )
    )


def copy_with_probe(name):
    folder = copy(name)
    shutil.rmtree(folder / "app")
    shutil.copytree(folder / "tests/probe", folder / "app")
    set_up(folder)
    return folder


def set_up(folder):
    """A copy with another application, as `make setup` leaves it."""
    run("chmod", "-R", "a+rX", str(folder / "app"))
    (folder / ".env").write_text("".join((folder / part / ".env.example").read_text() for part in (".", "app")))


@cache
def enter_copy():
    os.chdir(copy_with_probe("probe"))


def pytest_configure(config):
    if config.option.dist == "no":  # `make test` runs four processes, and one that only tells them what to do
        enter_copy()


# By how long they take, and one that mostly waits beside two that compute.
GROUPS = ["attacked", "faulty", "prod", "app prod", "server", "prod/edge", "kept", "tls", "dev", "monitored", "machine",
          "app dev", "images"]  # fmt: skip


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest-xdist reads the marks, and after pytest has sorted
def pytest_collection_modifyitems(items):
    """What shares a stack runs in one process, in the order of GROUPS; any other test in whichever is free.

    The production stack has more tests than all others: it is up twice, and once of them for tests/stack/edge alone.
    """
    for item in items:
        parameters = item.name.partition("[")[2].removesuffix("]").split("-")
        shared = {"dev", "prod", "tls", "attacked", "monitored", "server", "kept", "faulty"}
        arguments = item.callspec.params if hasattr(item, "callspec") else {}
        stacks = shared & {*{*item.fixturenames} - {*arguments}, *parameters}
        if item.path.parent.name == "images":
            item.add_marker(pytest.mark.xdist_group("images"))
        elif stacks:
            stack = ("app " if item.path.is_relative_to(ROOT / "app") else "") + min(stacks)
            part = "/edge" if stack == "prod" and item.path.parent.name == "edge" else ""
            item.add_marker(pytest.mark.xdist_group(stack + part))
    yield
    if WORKER:
        items.sort(key=lambda item: GROUPS.index(group) if (group := group_of(item)) in GROUPS else len(GROUPS))


def group_of(item):
    mark = item and item.get_closest_marker("xdist_group")
    return mark and mark.args[0]


def stack_of(item):
    group = group_of(item)
    return group and group.partition("/")[0]


@pytest.hookimpl(trylast=True)  # after pytest has ended what this test alone had
def pytest_runtest_teardown(item, nextitem):
    """A stack that nobody needs any more goes on with its health checks, at the cost of all others."""
    if WORKER and stack_of(item) != stack_of(nextitem):
        from tests.stack.conftest import RUNNING

        for stack in [*RUNNING]:
            stack.end()
