"""What a client may send: whatever passes fits the database, and whatever does not is told by its field."""

import pytest

from flagstone.extensions import db


@pytest.fixture
def write(client):
    """Posts items with these names."""
    return lambda *names: [client.post("/api/items", json={"name": name}) for name in names]


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ([], {"name"}),
        ("text", {"name"}),
        ({}, {"name"}),
        ({"name": " \n"}, {"name"}),
        ({"name": 1}, {"name"}),
        ({"name": None}, {"name"}),
        ({"name": "x" * 201}, {"name"}),
        ({"name": "a\0b"}, {"name"}),
        ({"name": "half \ud800"}, {"name"}),
        ({"name": "x", "text": "y" * 10_001}, {"text"}),
        ({"name": "x", "text": ["y"]}, {"text"}),
        ({"name": "x", "id": 7}, {"id"}),
        ({"text": 1, "author": "me"}, {"name", "text", "author"}),
    ],
)
def test_a_row_that_is_not_valid_is_refused_with_each_field_named(client, data, fields):
    answer = client.post("/api/items", json=data)
    assert answer.status_code == 400
    assert answer.json["error"]["fields"].keys() == fields
    assert client.get("/api/items").json["total"] == 0


@pytest.mark.parametrize("data", [b"{", b"", b"null", b"\xff", b"[" * 60_000, b'{"name": NaN}', b"1" * 5000])
def test_what_is_no_json_is_a_400(client, data):
    answer = client.post("/api/items", data=data, content_type="application/json")
    assert (answer.status_code, answer.json["error"]["status"]) == (400, 400)


def test_another_content_type_is_a_415(client):
    assert client.post("/api/items", data="name=x", content_type="text/plain").status_code == 415


@pytest.mark.parametrize("path", ["/api/items", "/items"])
def test_a_name_of_300_kb_is_a_413_and_not_stored(client, path):
    sent = {"json": {"name": "x" * 300_000}} if path == "/api/items" else {"data": {"name": "x" * 300_000}}
    assert client.post(path, **sent).status_code == 413
    assert client.get("/api/items").json["total"] == 0


def test_what_is_stored_is_measured_and_not_what_is_trimmed(client):
    assert client.post("/api/items", json={"name": f"  {'x' * 200}\r\n"}).status_code == 201


def test_the_longest_row_fits_in_every_encoding(client):
    longest = {"name": "\N{GRINNING FACE}" * 200, "text": "\N{GRINNING FACE}" * 10_000}
    assert client.post("/api/items", json=longest).status_code == 201
    assert client.post("/items", data=longest).status_code == 303


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "page=", "page=1000001", "per_page=101", "per_page=²"]
)
@pytest.mark.parametrize("path", ["/api/items"])
def test_a_page_out_of_bounds_is_a_400(client, path, query):
    assert client.get(f"{path}?{query}").status_code == 400


@pytest.mark.parametrize("item_id", ["2", "0", "-1", "x", "1.0", "9223372036854775807", "9" * 30])
def test_an_unknown_id_is_a_404(client, write, item_id):
    write("one")
    assert client.get(f"/api/items/{item_id}").status_code == 404
    assert client.delete(f"/api/items/{item_id}").status_code == 404


def test_the_list_is_cached_until_a_row_is_written(app, client, write):
    write("one")
    assert client.get("/api/items").json["total"] == 1
    with app.app_context():
        db.session.execute(db.text("DELETE FROM probe_item"))
        db.session.commit()
    assert client.get("/api/items").json["total"] == 1, "not cached"
    write("two")
    assert [item["name"] for item in client.get("/api/items").json["items"]] == ["two"]
