"""What a file is, is read from its content; what it is called is made harmless."""

import io
import json

import pytest

from app.uploads import safe_name
from tests.unit.conftest import sign_up

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


@pytest.fixture
def write(user):
    def post(name, content, path="/api/notes"):
        data = {"title": "With a file", "file": (io.BytesIO(content), name)}
        return user.post(path, data=data, content_type="multipart/form-data")

    return post


@pytest.fixture
def kept(app):
    return lambda: list(app.config["UPLOAD_FOLDER"].iterdir())


def test_a_note_carries_a_file_for_users_only_and_takes_it_along(app, user, client, write, kept):
    note = write("Grüße.png", PNG)
    assert (note.status_code, note.json["file"]) == (201, "Grüße.png")
    sent = user.get("/notes/1/file")
    assert (sent.status_code, sent.data, sent.mimetype) == (200, PNG, "image/png")
    assert sent.headers["Content-Disposition"].startswith("attachment;")
    assert "filename*=UTF-8''Gr%C3%BC%C3%9Fe.png" in sent.headers["Content-Disposition"]
    assert client.get("/notes/1/file").status_code == 303, "a stranger signs in first"
    assert sign_up(app.test_client(), email="other@example.test").get("/notes/1/file").status_code == 200
    assert 'href="/notes/1/file"' in user.get("/notes").text
    assert len(kept()) == 1
    user.delete("/api/notes/1")
    assert kept() == []


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.jpg", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("a.gif", b"GIF89a....", "image/gif"),
        ("a.webp", b"RIFF\0\n\0\0WEBPVP8 ", "image/webp"),
        ("a.pdf", b"%PDF-1.7\n", "application/pdf"),
        ("a.txt", "Grüße\r\n\tund".encode(), "text/plain"),
    ],
)
def test_what_may_be_kept(user, write, name, content, kind):
    assert write(name, content).json["file"] == name
    assert user.get("/notes/1/file").mimetype == kind


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("notes.txt", "notes.txt"),
        ("Grüße (2).TXT", "Grüße (2).TXT"),
        ("page.html", "page.html.txt"),
        ("../../etc/passwd", "passwd.txt"),
        ("C:\\windows\\a.txt", "a.txt"),
        ('a"b\r\nSet-Cookie: x.txt', "a_b__Set-Cookie_ x.txt"),
        ("x" * 300 + ".txt", "x" * 196 + ".txt"),
        (".htaccess", ".htaccess.txt"),
        ("..", "...txt"),
        ("", "file.txt"),
    ],
)
def test_a_name_is_made_harmless(name, called):
    assert safe_name(name, (".txt",)) == called


@pytest.mark.parametrize("name", ["page.html", "drawing.svg", "innocent.png"])
def test_what_is_active_elsewhere_is_text_here(user, write, name):
    assert write(name, b"<svg onload='alert(1)'/>").json["file"] == f"{name}.txt"
    assert user.get("/notes/1/file").mimetype == "text/plain"


@pytest.mark.parametrize("content", [b"MZ\0\0binary", b"\x7fELF\2\1", b"PK\3\4\0\0", b"\xff\xfe\0", b""])
@pytest.mark.parametrize("path", ["/api/notes", "/notes"])
def test_what_may_not_be_kept_is_refused_and_nothing_is_stored(client, write, kept, content, path):
    refused = write("innocent.png", content, path)
    assert refused.status_code == 400
    assert "expected an image" in refused.text
    assert kept() == []
    assert client.get("/api/notes").json["total"] == 0


def test_a_note_that_is_not_valid_leaves_no_file(user, kept):
    data = {"title": "", "file": (io.BytesIO(PNG), "a.png")}
    assert user.post("/api/notes", data=data, content_type="multipart/form-data").status_code == 400
    assert kept() == []


def test_a_file_beyond_the_limit_is_a_413(make_app):
    user = sign_up(make_app(MAX_CONTENT_LENGTH="1000").test_client())
    data = {"title": "x", "file": (io.BytesIO(b"x" * 2000), "a.txt")}
    refused = user.post("/api/notes", data=data, content_type="multipart/form-data")
    assert (refused.status_code, json.loads(refused.text)["error"]["status"]) == (413, 413)


def test_a_folder_that_cannot_be_written_stops_the_app_with_its_name(make_app):
    with pytest.raises(SystemExit, match="UPLOAD_FOLDER"):
        make_app(UPLOAD_FOLDER="/proc/uploads")
