"""The file of a note: whose it is, who gets it, and that none is lost or left behind."""

import io

import pytest
from sqlalchemy.exc import OperationalError

from app.notes import model
from app.tests.conftest import sign_up
from flagstone import uploads
from flagstone.extensions import db
from tests.unit.test_uploads import PNG, form, grow_old, send, settle


@pytest.fixture
def write(user):
    def post(name, content, path="/api/notes"):
        data = {"title": "With a file", "file": (io.BytesIO(content), name)}
        return user.post(path, data=data, content_type="multipart/form-data")

    return post


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


def test_a_user_has_so_many_files_and_no_more(user, write, kept, monkeypatch):
    monkeypatch.setattr(model, "FILES_MAX", 2)
    assert [write("a.png", PNG).status_code for _ in range(3)] == [201, 201, 400]
    assert len(kept()) == 2
    user.delete("/api/notes/1")
    assert write("a.png", PNG).status_code == 201


@pytest.mark.parametrize("path", ["/notes", "/api/notes"])
def test_what_a_stranger_sends_to_a_view_that_takes_files_is_not_read(client, path):
    answer, read = send(client, path, form(b"x" * 300_000))
    assert answer.status_code in (303, 401)
    assert not read


@pytest.mark.parametrize("path", ["/login", "/register", "/api/token", "/api/reports"])
def test_a_view_takes_no_more_than_a_form_unless_it_says_so(app, path):
    answer, read = send(sign_up(app.test_client()), path, form(b"x" * 300_000))
    assert (answer.status_code, read) == (413, False)


def test_a_note_that_is_not_valid_leaves_no_file(user, kept):
    data = {"title": "", "file": (io.BytesIO(PNG), "a.png")}
    assert user.post("/api/notes", data=data, content_type="multipart/form-data").status_code == 400
    assert kept() == []


def test_a_crash_while_a_note_is_deleted_leaves_both_or_neither(app, user, write, kept, monkeypatch):
    write("a.png", PNG)
    with monkeypatch.context() as patch:
        patch.setattr(uploads, "delete", lambda key: None)  # it crashes before that
        user.delete("/api/notes/1")
    (file,) = kept()
    settle(app)
    assert kept() == [file]
    grow_old(file)
    settle(app)
    assert kept() == []
    write("b.png", PNG)
    with app.app_context(), monkeypatch.context() as patch:  # it crashes before the commit
        patch.setattr(db.session, "commit", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model.delete_note(model.get_note(1), 1)
    grow_old(kept()[0])
    settle(app)
    assert user.get("/notes/1/file").data == PNG


def test_a_crash_after_the_commit_loses_no_file(app, user, write, kept):
    write("a.png", PNG)
    (file,) = kept()
    grow_old(file.rename(file.with_suffix(".part")))
    settle(app)
    assert kept() == [file]
    file.rename(file.with_suffix(".part"))
    assert user.get("/notes/1/file").data == PNG, "nor does it have to be waited for"
    assert kept() == [file]


def test_a_crash_before_the_commit_leaves_no_file_for_long(app, user, write, kept, monkeypatch):
    def lost():
        raise OperationalError("COMMIT", {}, Exception("the connection is gone"))

    with monkeypatch.context() as patch:
        patch.setattr(db.session, "commit", lost)
        assert write("a.png", PNG).status_code == 503
    (file,) = kept()
    settle(app)
    assert kept() == [file], "whether it was committed is not known: a slow request may still be at it"
    grow_old(file)
    settle(app)
    assert kept() == []
