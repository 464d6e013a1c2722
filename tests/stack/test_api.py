"""An API over the wire: what it stores, and what it answers to input that it can not use."""

import pytest


def test_a_row_is_created_listed_read_and_deleted(stack):
    created = stack.site.post_json("/api/items", {"name": "First", "text": "über allem"})
    assert created.status == 201
    path = f"/api/items/{created.json['id']}"
    assert stack.site.get("/api/items").json["items"][0] == created.json
    assert stack.site.get(path).json == created.json
    assert stack.site.request("DELETE", path).status == 204
    assert stack.site.get(path).status == 404
    assert created.json not in stack.site.get("/api/items").json["items"], "the cached list is fresh"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"name": ', 400),
        (b"\xff\xfe", 400),
        (b"[]", 400),
        (b'{"name": 7}', 400),
        (b'{"name": ""}', 400),
        (b'{"name": "a\\u0000b"}', 400),
        (b'{"name": "a", "color": "red"}', 400),
        (b'{"name": "' + b"x" * 300_000 + b'"}', 413),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(stack, body, status):
    before = stack.site.get("/api/items").json["total"]
    answer = stack.site.post_json("/api/items", body)
    assert answer.status == status
    assert answer.json["error"]["status"] == status
    assert answer.json["error"]["request_id"] == answer.headers["X-Request-ID"]
    assert "Traceback" not in answer.text
    assert stack.site.get("/api/items").json["total"] == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/items/999999999", 404),
        ("GET", "/api/items/99999999999999999999999", 404),
        ("GET", "/api/items/x", 404),
        ("GET", "/api/none", 404),
        ("PUT", "/api/items", 405),
        ("GET", "/api/items?page=-1", 400),
    ],
)
def test_errors_under_api_are_json_with_the_request_id(stack, method, path, status):
    answer = stack.site.request(method, path)
    assert answer.status == answer.json["error"]["status"] == status
    assert answer.json["error"]["request_id"] == answer.headers["X-Request-ID"]


def test_errors_elsewhere_are_a_page_with_the_request_id(stack):
    answer = stack.site.get("/none")
    assert (answer.status, answer.headers.get_content_type()) == (404, "text/html")
    assert answer.headers["X-Request-ID"] in answer.text


def test_a_write_from_another_site_s_page_is_refused(stack):
    answer = stack.site.post_json("/api/items", {"name": "csrf"}, headers={"Origin": "https://evil.test"})
    assert answer.status == 403


def test_a_page_shows_the_environment_and_no_secret(stack):
    page = stack.site.get("/").text
    assert stack.exec("app", "printenv", "APP_ENV") in page
    for name in ("secret_key", "postgres_password", "redis_password"):
        assert stack.exec("app", "cat", f"/run/secrets/{name}") not in page
