"""A production stack of its own, that is attacked."""

import pytest

from tests.stack.conftest import production


@pytest.fixture(scope="session")
def attacked():
    with production("attacked", ACME_SERVER="http://127.0.0.1:9/directory") as stack:
        yield stack
