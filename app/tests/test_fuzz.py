"""Whatever a client sends to this application is its own fault, never a server error, and leads to no other site."""

import pytest

from app.tests.conftest import sign_up
from tests.unit.test_fuzz import HEADERS, ODD, READ_BY, SETTINGS, ask, try_many

READ = READ_BY | {"Authorization": ("GET", "/api/whoami")}
READ |= dict.fromkeys(["Content-Type", "Host", "X-Forwarded-Host"], ("POST", "/login"))


@pytest.fixture
def app(make_app):
    return make_app(REPORT_STEP_SECONDS="0", **SETTINGS)


@pytest.mark.parametrize("header", HEADERS.split())
def test_no_header_is_a_server_error(app, header):
    for value in ODD:
        ask(app, *READ.get(header, ("POST", "/api/token")), {header: value})


def test_no_request_is_a_server_error_or_leads_to_another_site(app):
    session = sign_up(app.test_client()).get_cookie("session").value
    try_many(app, [*app.url_map.iter_rules()], Cookie=f"session={session}")
