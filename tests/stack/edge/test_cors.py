"""CORS: pages of other sites may use the API when CORS_ORIGINS names them, and nothing else."""

import pytest

from tests.stack.conftest import edited

ORIGINS = ["https://app.example.com", "http://localhost:5173"]
OTHERS = [
    "https://evil.test",
    "http://app.example.com",
    "https://app.example.com.evil.test",
    "https://app.example.com:8443",
    "null",
]


@pytest.fixture(scope="module")
def open_api(prod):
    """The production stack with CORS_ORIGINS set, and without it again."""
    try:
        with edited(".env", "#CORS_ORIGINS=", f"CORS_ORIGINS={', '.join(ORIGINS)}"):
            prod.compose("up", "--detach", "--wait", "--timeout", "2", "--no-deps", "app")
        prod.await_health("ok")
        yield prod
    finally:
        prod.compose("up", "--detach", "--wait", "--timeout", "2", "--no-deps", "app")
        prod.await_health("ok")


def preflight(stack, origin, path="/api/items", method="POST"):
    asked = {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type, x-y",
    }
    return stack.site.request("OPTIONS", path, headers={"Origin": origin, **asked})


def write(site, origin, path="/api/items", value=None, **headers):
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site", **headers}
    return site.post_json(path, value or {"name": "from another site"}, headers=headers)


def granted(answer):
    return {name.lower(): value for name, value in answer.headers.items() if name.lower().startswith("access-control")}


def test_it_is_off_unless_origins_are_named(dev):
    assert granted(preflight(dev, ORIGINS[0])) == {}
    assert granted(dev.site.get("/api/items", headers={"Origin": ORIGINS[0]})) == {}
    assert write(dev.site, ORIGINS[0]).status == 403


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_preflight_of_a_named_origin_is_granted_without_cookies(open_api, origin):
    answer = preflight(open_api, origin)
    assert answer.status == 200
    grant = granted(answer)
    assert grant["access-control-allow-origin"] == origin
    assert "POST" in grant["access-control-allow-methods"]
    assert grant["access-control-allow-headers"] == "authorization, content-type"
    assert int(grant["access-control-max-age"]) > 0
    assert "access-control-allow-credentials" not in grant
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_named_origin_may_read_write_and_see_errors(open_api, origin):
    for status, answer in {
        200: open_api.site.get("/api/items", headers={"Origin": origin}),
        201: write(open_api.site, origin, Authorization="Bearer token"),
        400: write(open_api.site, origin, value={"odd": "field"}),
        404: open_api.site.get("/api/items/999999999", headers={"Origin": origin}),
    }.items():
        assert answer.status == status
        assert answer.headers.get_all("Access-Control-Allow-Origin") == [origin]
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
        assert len(answer.headers.get_all("Cross-Origin-Resource-Policy")) == 1


@pytest.mark.parametrize("origin", OTHERS)
def test_any_other_origin_is_granted_nothing_and_writes_nothing(open_api, origin):
    assert granted(preflight(open_api, origin)) == {}
    assert granted(open_api.site.get("/api/items", headers={"Origin": origin})) == {}
    answer = write(open_api.site, origin)
    assert (answer.status, granted(answer)) == (403, {})


@pytest.mark.parametrize("path", ["/", "/items", "/health", "/apinotes"])
def test_only_the_api_is_open(open_api, path):
    assert granted(preflight(open_api, ORIGINS[0], path)) == {}
    assert granted(open_api.site.get(path, headers={"Origin": ORIGINS[0]})) == {}


def test_a_named_origin_cannot_write_with_the_session_of_a_visitor(open_api):
    assert write(open_api.site, ORIGINS[0], Cookie="session=of-a-visitor").status == 403


def test_a_named_origin_cannot_send_the_forms_of_pages(open_api):
    assert write(open_api.site, ORIGINS[0], "/items").status == 403


def test_who_sends_no_origin_is_told_of_none(open_api):
    assert granted(open_api.site.get("/api/items")) == {}
