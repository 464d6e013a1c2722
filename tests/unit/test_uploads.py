"""What a file is, is read from its content; what it is called is made harmless; and none can do harm by its size."""

import io
import json
import os
import resource
import time
import tracemalloc
from threading import Event, Thread

import pytest
from flask import request
from sqlalchemy.exc import OperationalError

from flagstone import incoming, uploads
from flagstone.extensions import db
from flagstone.uploads import safe_name
from tests.probe.items import ProbeItem
from tests.wait import until

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


@pytest.fixture
def write(client):
    def post(name, content, path="/api/items"):
        data = {"name": "With a file", "file": (io.BytesIO(content), name)}
        return client.post(path, data=data, content_type="multipart/form-data")

    return post


@pytest.fixture
def kept(app):
    return lambda: list(app.config["UPLOAD_FOLDER"].iterdir())


def test_a_row_carries_a_file_and_takes_it_along(app, client, write, kept):
    item = write("Grüße.png", PNG)
    assert (item.status_code, item.json["file"]) == (201, "Grüße.png")
    sent = client.get("/items/1/file")
    assert (sent.status_code, sent.data, sent.mimetype) == (200, PNG, "image/png")
    assert sent.headers["Content-Disposition"].startswith("attachment;")
    assert "filename*=UTF-8''Gr%C3%BC%C3%9Fe.png" in sent.headers["Content-Disposition"]
    assert 'href="/items/1/file"' in client.get("/items").text
    assert len(kept()) == 1
    client.delete("/api/items/1")
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
def test_what_may_be_kept(client, write, name, content, kind):
    assert write(name, content).json["file"] == name
    assert client.get("/items/1/file").mimetype == kind


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("list.txt", "list.txt"),
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
def test_what_is_active_elsewhere_is_text_here(client, write, name):
    assert write(name, b"<svg onload='alert(1)'/>").json["file"] == f"{name}.txt"
    assert client.get("/items/1/file").mimetype == "text/plain"


@pytest.mark.parametrize("content", [b"MZ\0\0binary", b"\x7fELF\2\1", b"PK\3\4\0\0", b"\xff\xfe\0", b""])
@pytest.mark.parametrize("path", ["/api/items", "/items"])
def test_what_may_not_be_kept_is_refused_and_nothing_is_stored(client, write, kept, content, path):
    refused = write("innocent.png", content, path)
    assert refused.status_code == 400
    assert "expected an image" in refused.text
    assert kept() == []
    assert client.get("/api/items").json["total"] == 0


def test_a_row_that_is_not_valid_leaves_no_file(client, kept):
    data = {"name": "", "file": (io.BytesIO(PNG), "a.png")}
    assert client.post("/api/items", data=data, content_type="multipart/form-data").status_code == 400
    assert kept() == []


def test_a_file_beyond_the_limit_is_a_413(make_app):
    client = make_app(MAX_CONTENT_LENGTH="1000").test_client()
    data = {"name": "x", "file": (io.BytesIO(b"x" * 2000), "a.txt")}
    refused = client.post("/api/items", data=data, content_type="multipart/form-data")
    assert (refused.status_code, json.loads(refused.text)["error"]["status"]) == (413, 413)


def test_a_folder_that_cannot_be_written_stops_the_app_with_its_name(make_app):
    with pytest.raises(SystemExit, match="UPLOAD_FOLDER"):
        make_app(UPLOAD_FOLDER="/proc/uploads")


def form(content, times=1):
    """A field and a file, as a body of multipart/form-data."""
    part = b"\r\n--limit\r\nContent-Disposition: form-data; name="
    file = part + b'"file"; filename="a"\r\n\r\n' + content
    return part + b'"name"\r\n\r\nx' + file * times + b"\r\n--limit--\r\n"


def send(client, path, body):
    """A form from a stream, which the application need not read. The answer, and whether it did."""
    stream = io.BytesIO(body) if isinstance(body, bytes) else body
    headers = {"Content-Type": "multipart/form-data; boundary=limit", "Content-Length": str(stream.seek(0, 2))}
    stream.seek(0)
    return client.post(path, input_stream=stream, headers=headers), stream.tell() > 0


def test_a_view_takes_no_more_than_a_form_unless_it_says_so(app):
    app.add_url_rule("/of-a-fork", view_func=lambda: request.form.to_dict(), methods=["POST"])
    answer, read = send(app.test_client(), "/of-a-fork", form(b"x" * 300_000))
    assert (answer.status_code, read) == (413, False)


def test_a_large_file_takes_no_memory(make_app, tmp_path):
    """Neither on its way in nor when it is looked at: a text is read to its end."""
    client = make_app(MAX_CONTENT_LENGTH="100000000").test_client()
    with (tmp_path / "body").open("w+b") as body:
        body.write(form(b"0123456789abcde\n" * 2_000_000))
        send(client, "/api/items", form(b"first"))
        tracemalloc.start()
        answer, _ = send(client, "/api/items", body)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert answer.status_code == 201
    assert peak < 2_000_000


@pytest.mark.parametrize("text", [b"x" * 70_000 + b"\0", b"x" * 65_535 + "é".encode()[:1], b"x" * 65_535 + b"\xff"])
def test_a_text_is_read_to_its_end(write, text):
    assert write("a.txt", text).status_code == 400
    assert write("a.txt", b"x" * 65_535 + "é".encode()).status_code == 201, "a character that two reads share"


@pytest.fixture
def blocked(make_app, monkeypatch):
    """An application that takes two uploads at once, and they do not end before its `go` is set."""
    monkeypatch.setattr(incoming, "WAIT", 0.1)
    app, go, threads = make_app(UPLOADS_AT_ONCE="2"), Event(), []

    @app.post("/upload/<user>")
    @incoming.takes_files
    def upload(user):
        request.form.to_dict()
        go.wait(120)
        return ""

    monkeypatch.setattr(incoming, "user_id", lambda: request.view_args["user"])

    def start(user):
        threads.append(Thread(target=send, args=(app.test_client(), f"/upload/{user}", form(PNG))))
        threads[-1].start()

    app.start, app.go = start, go
    yield app
    go.set()
    for thread in threads:
        thread.join()


def under_way(app, number):
    until(lambda: len(app.extensions["gate"].users) == number, what=f"{number} under way")


def test_of_many_uploads_some_wait_and_the_rest_is_refused_before_it_is_read(blocked):
    for user in "ab":
        blocked.start(user)
    under_way(blocked, 2)
    answer, read = send(blocked.test_client(), "/upload/c", form(PNG))
    assert (answer.status_code, answer.headers["Retry-After"], read) == (503, "0.1", False), "it has waited"
    incoming.WAIT = 120
    for user in "aaabbbcccddddeeeff":
        blocked.start(user)
    under_way(blocked, 20)
    for user, status in (("a", 429), ("f", 503)):
        started = time.monotonic()
        answer, read = send(blocked.test_client(), f"/upload/{user}", form(PNG))
        assert (answer.status_code, read) == (status, False)
        assert time.monotonic() - started < 60, "it has not waited"
    blocked.go.set()
    under_way(blocked, 0)
    assert send(blocked.test_client(), "/upload/a", form(PNG))[0].status_code == 200
    until(lambda: not list(blocked.config["UPLOAD_FOLDER"].iterdir()))  # removed once it is answered


def test_a_form_that_fails_leaves_its_place_and_no_file(client, app, kept):
    broken = form(b"x" * 100_000)[:-30]
    for body in [broken, form(b"\0")] * 4:
        assert send(client, "/api/items", body)[0].status_code == 400
    assert send(client, "/api/items", form(PNG, times=100))[0].status_code == 413, "too many parts"
    assert kept() == []
    assert send(client, "/api/items", form(PNG))[0].status_code == 201


def test_uploads_leave_the_disk_its_reserve(make_app):
    client = make_app(UPLOAD_DISK_RESERVE=str(10**18)).test_client()
    answer, read = send(client, "/api/items", form(PNG))
    assert (answer.status_code, answer.headers["Retry-After"], read) == (503, "60", False)
    assert client.post("/api/items", json={"name": "without a file"}).status_code == 201


def test_a_disk_that_takes_no_more_is_a_503_and_keeps_nothing(client, kept):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        answer, _ = send(client, "/api/items", form(b"x" * 200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert kept() == []


def grow_old(file):
    os.utime(file, (time.time() - 2 * uploads.DOUBTFUL,) * 2)


def settle(app):
    with app.app_context():
        db.create_all()  # it looks into those of another application, too, where Python has loaded one
        uploads.settle()


def test_a_crash_after_the_commit_loses_no_file(app, client, write, kept):
    write("a.png", PNG)
    (file,) = kept()
    grow_old(file.rename(file.with_suffix(".part")))
    settle(app)
    assert kept() == [file]
    file.rename(file.with_suffix(".part"))
    assert client.get("/items/1/file").data == PNG, "nor does it have to be waited for"
    assert kept() == [file]


def test_a_crash_before_the_commit_leaves_no_file_for_long(app, client, write, kept, monkeypatch):
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


def test_a_file_that_was_acknowledged_is_never_in_question(app, write, kept):
    """Not even without a row: the database may be an empty one, by mistake, or one of yesterday."""
    write("a.png", PNG)
    (file,) = kept()
    grow_old(file)
    with app.app_context():
        db.session.execute(db.delete(ProbeItem))
        db.session.commit()
    settle(app)
    assert kept() == [file]


def test_a_crash_while_a_row_is_deleted_leaves_both_or_neither(app, client, write, kept, monkeypatch):
    write("a.png", PNG)
    with monkeypatch.context() as patch:
        patch.setattr(uploads, "delete", lambda key: None)  # it crashes before that
        client.delete("/api/items/1")
    (file,) = kept()
    settle(app)
    assert kept() == [file]
    grow_old(file)
    settle(app)
    assert kept() == []
    write("b.png", PNG)
    with monkeypatch.context() as patch:  # it crashes before the commit
        patch.setattr(db.session, "commit", lambda: 1 / 0)
        assert client.delete("/api/items/1").status_code == 500
    grow_old(kept()[0])
    settle(app)
    assert client.get("/items/1/file").data == PNG


def test_no_uploads_at_once_is_a_fault_of_the_settings(make_app):
    with pytest.raises(SystemExit, match="UPLOADS_AT_ONCE: expected a number of uploads"):
        make_app(UPLOADS_AT_ONCE="0")
