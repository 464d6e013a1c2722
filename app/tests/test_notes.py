import pytest

from flagstone.extensions import db


@pytest.fixture
def client(user):
    """Signed in, as whoever writes has to be; app/tests/test_auth.py has the strangers."""
    return user


@pytest.fixture
def write(client):
    """Posts notes with these titles and returns their ids."""
    return lambda *titles: [client.post("/api/notes", json={"title": title}).json["id"] for title in titles]


def test_a_note_is_created_read_listed_and_deleted(client):
    created = client.post("/api/notes", json={"title": "  Milk ", "body": " two\r\nlitres "})
    assert created.status_code == 201
    stored = {"id": 1, "title": "Milk", "body": "two\nlitres", "author_id": 1, "file": None}
    assert created.json == stored | {"created_at": created.json["created_at"]}
    assert created.json["created_at"].endswith("+00:00")
    assert client.get(created.headers["Location"]).json == created.json
    assert client.get("/api/notes").json["notes"] == [created.json]
    assert client.delete("/api/notes/1").status_code == 204
    assert client.get("/api/notes/1").status_code == 404
    assert client.get("/api/notes").json["total"] == 0


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ([], {"title"}),
        ("text", {"title"}),
        ({}, {"title"}),
        ({"title": " \n"}, {"title"}),
        ({"title": 1}, {"title"}),
        ({"title": None}, {"title"}),
        ({"title": "x" * 201}, {"title"}),
        ({"title": "a\0b"}, {"title"}),
        ({"title": "half \ud800"}, {"title"}),
        ({"title": "x", "body": "y" * 10_001}, {"body"}),
        ({"title": "x", "body": ["y"]}, {"body"}),
        ({"title": "x", "id": 7}, {"id"}),
        ({"body": 1, "author": "me"}, {"title", "body", "author"}),
    ],
)
def test_a_note_that_is_not_valid_is_refused_with_each_field_named(client, data, fields):
    answer = client.post("/api/notes", json=data)
    assert answer.status_code == 400
    assert answer.json["error"]["fields"].keys() == fields
    assert client.get("/api/notes").json["total"] == 0


@pytest.mark.parametrize("data", [b"{", b"", b"null", b"\xff", b"[" * 60_000, b'{"title": NaN}', b"1" * 5000])
def test_what_is_no_json_is_a_400(client, data):
    answer = client.post("/api/notes", data=data, content_type="application/json")
    assert (answer.status_code, answer.json["error"]["status"]) == (400, 400)


def test_another_content_type_is_a_415(client):
    assert client.post("/api/notes", data="title=x", content_type="text/plain").status_code == 415


@pytest.mark.parametrize("path", ["/api/notes", "/notes"])
def test_a_title_of_300_kb_is_a_413_and_not_stored(client, path):
    sent = {"json": {"title": "x" * 300_000}} if path == "/api/notes" else {"data": {"title": "x" * 300_000}}
    assert client.post(path, **sent).status_code == 413
    assert client.get("/api/notes").json["total"] == 0


def test_what_is_stored_is_measured_and_not_what_is_trimmed(client):
    assert client.post("/api/notes", json={"title": f"  {'x' * 200}\r\n"}).status_code == 201


def test_the_longest_note_fits_in_every_encoding(client):
    longest = {"title": "\N{GRINNING FACE}" * 200, "body": "\N{GRINNING FACE}" * 10_000}
    assert client.post("/api/notes", json=longest).status_code == 201
    assert client.post("/notes", data=longest).status_code == 303


@pytest.mark.parametrize("note_id", ["2", "0", "-1", "x", "1.0", "9223372036854775807", "9" * 30])
def test_an_unknown_id_is_a_404(client, write, note_id):
    write("one")
    assert client.get(f"/api/notes/{note_id}").status_code == 404
    assert client.delete(f"/api/notes/{note_id}").status_code == 404


def test_the_list_comes_in_pages_with_the_newest_first(client, write):
    write(*"abcde")
    second = client.get("/api/notes?page=2&per_page=2").json
    assert [note["title"] for note in second["notes"]] == ["c", "b"]
    assert {name: second[name] for name in ("page", "per_page", "pages", "total")} == {
        "page": 2,
        "per_page": 2,
        "pages": 3,
        "total": 5,
    }
    assert client.get("/api/notes?page=9").json["notes"] == []


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "page=", "page=1000001", "per_page=101", "per_page=²"]
)
@pytest.mark.parametrize("path", ["/api/notes", "/notes"])
def test_a_page_out_of_bounds_is_a_400(client, path, query):
    assert client.get(f"{path}?{query}").status_code == 400


def test_the_list_is_cached_until_a_note_is_written(app, client, write):
    write("one")
    assert client.get("/api/notes").json["total"] == 1
    with app.app_context():
        db.session.execute(db.text("DELETE FROM note"))
        db.session.commit()
    assert client.get("/api/notes").json["total"] == 1, "not cached"
    write("two")
    assert [note["title"] for note in client.get("/api/notes").json["notes"]] == ["two"]


def test_the_page_lists_writes_and_deletes(client):
    assert client.post("/notes", data={"title": "<b>Milk</b>", "body": "a\r\nb"}).headers["Location"] == "/notes"
    page = client.get("/notes").text
    assert "&lt;b&gt;Milk&lt;/b&gt;" in page
    assert client.post("/notes/1/delete").status_code == 303
    assert "No notes yet" in client.get("/notes").text


def test_the_form_keeps_what_was_typed_and_says_what_is_wrong(client):
    answer = client.post("/notes", data={"title": "x" * 201, "body": "kept"})
    assert answer.status_code == 400
    assert "expected at most 200 characters" in answer.text
    assert "kept</textarea>" in answer.text


def test_the_page_links_to_older_and_newer_notes(client, write):
    write(*"abc")
    page = client.get("/notes?page=2&per_page=1").text
    assert 'href="/notes?page=1&amp;per_page=1"' in page
    assert 'href="/notes?page=3&amp;per_page=1"' in page
