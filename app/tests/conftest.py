"""Where only these tests run, they need of tests/ what pytest finds there by itself otherwise."""

from tests.conftest import pytest_collection_modifyitems, pytest_configure  # noqa: F401
