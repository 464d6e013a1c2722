"""The stacks of development and production with this application in them; tests/stack has what they hold for any."""

from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.attack.conftest import Attacked
from tests.conftest import copy
from tests.stack.conftest import NO_BACKUPS, development, production
from tests.stack.test_mail import pair, worker  # noqa: F401 - fixtures

USER = {"email": "tests@example.test", "password": "correct horse battery"}


def sign_up(stranger, email, password=USER["password"]):
    """A copy of this client, with the session of a new user."""
    answer = stranger.post_form("/register", email=email, password=password)
    assert answer.status == 303, answer.text
    return replace(stranger, cookie=answer.headers["Set-Cookie"].partition(";")[0])


@contextmanager
def used(stack):
    """The stack, up: its `site` is the client of a user, its `stranger` that of nobody."""
    with stack:
        stack.stranger, stack.site = stack.site, sign_up(stack.site, USER["email"])
        yield stack


@pytest.fixture(scope="session")
def checkout():
    return copy("app")


@pytest.fixture(scope="session")
def dev(checkout):
    with used(development("app-dev", folder=checkout)) as stack:
        yield stack


@pytest.fixture(scope="session")
def prod(checkout):
    with used(production("app-prod", kind=Attacked, folder=checkout, **NO_BACKUPS)) as stack:
        yield stack


@pytest.fixture(scope="session", params=["dev", "prod"])
def stack(request):
    """Both: a promise that holds in development and in production."""
    return request.getfixturevalue(request.param)
