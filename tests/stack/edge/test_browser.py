"""The platform's own pages in a real browser, on the production stack. Screenshots are left in artifacts/."""

import pytest

from tests.stack.browser import SIZES, browser, look, visitor
from tests.stack.conftest import DOMAIN


@pytest.fixture(scope="module")
def chromium(prod):
    with browser(prod) as chromium:
        yield chromium


@pytest.mark.parametrize("path", ["/absent", "/static/absent", "/boom"])
@pytest.mark.parametrize("size", SIZES)
def test_an_error_page_can_be_read_by_everybody(chromium, prod, size, path):
    with visitor(chromium, size, fine=("status of 404", "status of 500")) as page:
        page.goto(f"https://{DOMAIN}{path}")
        look(page, f"error{path.replace('/', '-')}", size)
