"""Static files come from nginx's image, right in type and fresh after each build."""

import gzip
import json
import re
from compression import zstd
from hashlib import sha256
from pathlib import Path

import brotli
import pytest

from tests.shell import run
from tests.stack.conftest import edited
from tests.wait import until

UNPACK = {"br": brotli.decompress, "zstd": zstd.decompress, "gzip": gzip.decompress}
TYPES = {".css": "text/css", ".svg": "image/svg+xml"}
FOR_GOOD = "public, max-age=31536000, immutable"


def ask(stack, path, accepted=None, method="GET", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return stack.site.request(method, path, headers={**headers, **({"Accept-Encoding": accepted} if accepted else {})})


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
    with stack.without("app"):
        assert stack.site.get("/static/style.css").status == 200
        assert stack.site.get("/hello-world.txt").status == 200
        page = until(lambda: (answer := stack.site.get("/")).status == 502 and answer)
        assert page.headers["Retry-After"]
        assert page.headers["X-Request-ID"] in page.text
        assert stack.site.get("/api/items").json["error"]["status"] == 502
    assert stack.site.get("/").status == 200


@pytest.mark.long
def test_a_new_build_brings_new_static_files(prod):
    """A volume that is filled once would go on serving the files of the first deploy."""
    with edited("app/static/style.css", "{", "/*!deployed*/{"):
        prod.compose("up", "--detach", "--build", "--wait")
        until(lambda: "/*!deployed*/" in prod.site.get("/static/style.css").text)
    prod.compose("up", "--detach", "--build", "--wait")
    until(lambda: "/*!deployed*/" not in prod.site.get("/static/style.css").text)


def test_nginx_can_write_none_of_what_it_serves(prod):
    mounts = {
        mount["Destination"]: mount["RW"] for mount in prod.inspect("nginx")["Mounts"] if mount["Type"] == "volume"
    }
    assert mounts.pop("/var/cache/nginx")
    assert mounts.keys() == {"/etc/letsencrypt", "/var/www/acme", "/srv/uploads", "/srv/www", "/run/app"}
    assert not any(mounts.values())


@pytest.fixture(scope="session")
def names(prod):
    """The manifest, as the application has it."""
    return json.loads(prod.exec("app", "cat", "app/manifest.json"))


def test_pages_refer_to_files_that_may_be_kept_for_good(prod, names):
    referred = set(re.findall(r'(?:href|src)="/static/([^"]+)"', prod.site.get("/").text))
    assert referred == {names["logo.svg"], names["style.css"]}
    for name in referred:
        answer = ask(prod, f"/static/{name}")
        assert (answer.status, answer.headers.get_all("Cache-Control")) == (200, [FOR_GOOD])
        assert answer.headers["Content-Type"] == TYPES[name[-4:]]


def test_what_nginx_serves_is_what_the_application_s_manifest_says(prod, names):
    for plain, fingerprinted in names.items():
        content = ask(prod, f"/static/{fingerprinted}").body
        assert sha256(content).hexdigest()[:12] in fingerprinted
        assert ask(prod, f"/static/{plain}").body == content


def test_pages_of_development_have_plain_names(dev):
    assert 'href="/static/style.css"' in dev.site.get("/").text


def test_development_serves_the_source_and_nothing_packed_at_the_build(dev):
    answer = ask(dev, "/static/style.css", "br, zstd")
    assert answer.body == Path("app/static/style.css").read_bytes()
    assert answer.headers.get_all("Vary") == ["Accept-Encoding"]


def test_a_plain_name_is_kept_but_asked_about(stack):
    assert stack.site.get("/static/logo.svg").headers.get_all("Cache-Control") == ["no-cache"]


def test_a_fingerprint_of_another_release_leads_to_the_file_of_this_one(stack):
    """During a deploy, and in tabs that stay open over it."""
    answer = stack.site.get("/static/style.0123456789ab.css")
    assert (answer.status, answer.headers.get_all("Cache-Control")) == (200, ["no-cache"])
    assert answer.body == stack.site.get("/static/style.css").body
    gone = stack.site.get("/static/none.0123456789ab.css")
    assert gone.status == 404
    assert "immutable" not in gone.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, zstd", "zstd"),
        ("GZIP", "gzip"),
        ("br;q=0.5,gzip", "br"),
        ("br ; q=0.001", "br"),
        ("br;q=0, zstd;q=0.000, gzip;q=1.0", "gzip"),
        ("br;q=0", None),
        ("identity", None),
        ("x-br, brotli, gzipped", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("file", ["style.css", "logo.svg"])
def test_a_file_comes_in_the_best_encoding_that_the_client_takes(prod, names, file, accepted, encoding):
    plain = ask(prod, f"/static/{file}")
    for name in (file, names[file]):
        answer = ask(prod, f"/static/{name}", accepted)
        assert answer.status == 200
        assert answer.headers.get_all("Content-Encoding") == ([encoding] if encoding else None)
        assert answer.headers["Content-Type"] == TYPES[file[-4:]]
        assert answer.headers.get_all("Vary") == ["Accept-Encoding"]
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        assert UNPACK.get(encoding, bytes)(answer.body) == plain.body
        assert encoding is None or len(answer.body) < len(plain.body) * 0.7


def test_each_encoding_has_a_strong_validator_of_its_own_made_of_its_content(prod):
    answers = [ask(prod, "/static/style.css", encoding) for encoding in (None, *UNPACK)]
    tags = [answer.headers["ETag"] for answer in answers]
    assert len(set(tags)) == 4
    for answer, tag in zip(answers, tags, strict=True):
        time = int(sha256(answer.body).hexdigest()[:12], 16) % 10**9  # nginx/static.py
        assert tag == f'"{time:x}-{len(answer.body):x}"'


@pytest.mark.parametrize("encoding", UNPACK)
def test_an_unchanged_packed_file_is_not_sent_again(prod, encoding):
    first = ask(prod, "/static/style.css", encoding)
    again = ask(prod, "/static/style.css", encoding, If_None_Match=first.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    assert again.headers.get_all("ETag") == [first.headers["ETag"]]
    assert again.headers.get_all("Vary") == ["Accept-Encoding"]
    assert "Content-Encoding" not in again.headers
    assert ask(prod, "/static/style.css", If_None_Match=first.headers["ETag"]).status == 200, "of another encoding"


@pytest.mark.parametrize("encoding", [None, *UNPACK])
def test_head_and_a_range_are_of_the_encoding_that_get_has(prod, encoding):
    whole = ask(prod, "/static/style.css", encoding)
    head = ask(prod, "/static/style.css", encoding, "HEAD")
    for name in ("Content-Encoding", "Content-Type", "Content-Length", "ETag", "Vary", "Cache-Control"):
        assert head.headers.get_all(name) == whole.headers.get_all(name), name
    assert head.body == b""
    part = ask(prod, "/static/style.css", encoding, Range="bytes=5-14", If_Range=whole.headers["ETag"])
    assert (part.status, part.body) == (206, whole.body[5:15])
    assert part.headers.get_all("Content-Encoding") == whole.headers.get_all("Content-Encoding")


def test_a_reference_to_a_missing_file_fails_the_build_by_its_place(prod):
    with edited("app/templates/base.html", "filename='logo.svg'", "filename='none.svg'"):
        result = run("docker", *prod.command, "build", "app", check=False, timeout=300, **prod.environment)
    assert result.returncode != 0
    assert "templates/base.html:6: there is no static file none.svg" in result.stdout + result.stderr
