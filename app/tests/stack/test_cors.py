"""CORS: a page of another site may use the API with a token, and with nobody's session."""

import pytest

from app.tests.stack.conftest import USER
from tests.stack.edge.test_cors import ORIGINS, write

NOTE = {"title": "from another site"}


@pytest.fixture(scope="module")
def open_api(prod):
    with prod.in_place(CORS_ORIGINS=",".join(ORIGINS)):
        yield prod


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_named_origin_may_write_with_a_token(open_api, origin):
    token = write(open_api.stranger, origin, "/api/token", USER).json["access_token"]
    for status, answer in {
        200: open_api.stranger.get("/api/notes", headers={"Origin": origin}),
        201: write(open_api.stranger, origin, "/api/notes", NOTE, Authorization=f"Bearer {token}"),
        401: write(open_api.stranger, origin, "/api/notes", NOTE),
    }.items():
        assert answer.status == status
        assert answer.headers.get_all("Access-Control-Allow-Origin") == [origin]


def test_it_cannot_write_with_the_session_of_a_visitor(open_api):
    assert write(open_api.site, ORIGINS[0], "/api/notes", NOTE).status == 403


def test_any_other_one_is_refused_before_it_is_asked_who_it_is(open_api):
    assert write(open_api.stranger, "https://evil.test", "/api/notes", NOTE).status == 403
