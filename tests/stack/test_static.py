"""Static files come from nginx's image, right in type and fresh after each build."""

import pytest

from tests.stack.conftest import edited
from tests.wait import until


def test_static_files_have_their_type_and_a_validator(stack):
    answer = stack.site.get("/static/style.css")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/css")
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["ETag"]


@pytest.mark.parametrize("header", ["If-None-Match", "If-Modified-Since"])
def test_an_unchanged_file_is_not_sent_again(stack, header):
    first = stack.site.get("/static/style.css")
    validator = first.headers["ETag" if header == "If-None-Match" else "Last-Modified"]
    again = stack.site.get("/static/style.css", headers={header: validator})
    assert (again.status, again.body) == (304, b"")


def test_text_is_compressed_and_varies(stack):
    answer = stack.site.get("/static/style.css", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["Vary"]


@pytest.mark.parametrize("path", ["/robots.txt", "/hello-world.txt", "/favicon.ico"])
def test_root_files_are_tried_before_the_application(stack, path):
    answer = stack.site.get(path)
    assert answer.status == 200
    assert answer.body


def test_a_missing_static_file_is_404_from_nginx(stack):
    answer = stack.site.get("/static/none.css")
    assert answer.status == 404
    assert "There is nothing at this address" in answer.text


def test_static_files_need_no_application(stack):
    """By nginx, not the app: with the app stopped, files still come and pages say why they do not."""
    stack.compose("stop", "--timeout", "2", "app")
    try:
        assert stack.site.get("/static/style.css").status == 200
        assert stack.site.get("/hello-world.txt").status == 200
        page = until(lambda: (answer := stack.site.get("/")).status == 502 and answer, within=15)
        assert page.headers["Retry-After"]
        assert page.headers["X-Request-ID"] in page.text
        assert stack.site.get("/api/notes").json["error"]["status"] == 502
    finally:
        stack.compose("start", "app")
        stack.await_healthy("app")
    until(lambda: stack.site.get("/").status == 200, within=15)


def test_a_new_build_brings_new_static_files(prod):
    """A volume would go on serving the files of the first deploy."""
    with edited("app/static/style.css", "{", "/*deployed*/{"):
        prod.compose("up", "--detach", "--build", "--wait", "nginx")
        until(lambda: "/*deployed*/" in prod.site.get("/static/style.css").text, within=10)
    prod.compose("up", "--detach", "--build", "--wait", "nginx")
    until(lambda: "/*deployed*/" not in prod.site.get("/static/style.css").text, within=10)


def test_static_files_are_in_the_image_and_in_no_volume(prod):
    mounts = {mount["Destination"] for mount in prod.inspect("nginx")["Mounts"] if mount["Type"] == "volume"}
    assert mounts == {"/etc/letsencrypt", "/var/www/acme", "/var/cache/nginx"}
