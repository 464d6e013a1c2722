"""Where signing in leads to: flagstone/redirects.py decides, tests/unit/test_redirects.py is about what it takes."""

import pytest

from app.tests.conftest import USER, sign_up


@pytest.mark.parametrize("action", ["login", "register"])
@pytest.mark.parametrize(("text", "leads_to"), [("/notes?a=b", "/notes?a=b"), ("////evil.test/x", "/"), ("//[", "/")])
def test_signing_in_and_up_lead_there(client, action, text, leads_to):
    if action == "login":
        sign_up(client)
    assert client.post(f"/{action}", query_string={"next": text}, data=USER).headers["Location"] == leads_to


def test_a_page_that_takes_a_user_leads_back_to_itself_and_no_long_query_bursts_a_header(client):
    assert client.get("/reports?page=2").headers["Location"] == "/login?next=/reports?page%3D2"
    assert client.get(f"/reports?{'x' * 3000}").headers["Location"] == "/login"
