"""The notes over the wire, and the front page."""


def test_a_note_is_created_listed_read_and_deleted(stack):
    created = stack.site.post_json("/api/notes", {"title": "First", "body": "über allem"})
    assert created.status == 201
    path = f"/api/notes/{created.json['id']}"
    assert stack.site.get("/api/notes").json["notes"][0] == created.json
    assert stack.site.get(path).json == created.json
    assert stack.site.request("DELETE", path).status == 204
    assert stack.site.get(path).status == 404
    assert created.json not in stack.site.get("/api/notes").json["notes"], "the cached list is fresh"


def test_the_status_page_shows_the_stack_and_no_password(stack):
    page = stack.site.get("/").text
    assert stack.exec("app", "printenv", "APP_ENV") in page
    for name in ("secret_key", "postgres_password", "redis_password"):
        assert stack.exec("app", "cat", f"/run/secrets/{name}") not in page
