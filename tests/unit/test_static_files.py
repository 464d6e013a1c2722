"""nginx/static.py, which prepares the static files at the build, and flagstone/static_files.py with its manifest."""

import gzip
import importlib.util
import json
import re
from compression import zstd
from pathlib import Path

import brotli
import pytest

ROOT = Path(__file__).parents[2]
UNPACK = {"br": brotli.decompress, "gzip": gzip.decompress, "zstd": zstd.decompress}

spec = importlib.util.spec_from_file_location("static_build", ROOT / "nginx" / "static.py")
static = importlib.util.module_from_spec(spec)
spec.loader.exec_module(static)


@pytest.fixture
def build(tmp_path):
    """Builds from files given by path under app/; returns the manifest and the folder of what nginx serves."""

    def run(files, out="out"):
        for name, content in files.items():
            path = tmp_path / "app" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        static.main(tmp_path / "app", tmp_path / out)
        return json.loads((tmp_path / out / "manifest.json").read_text()), tmp_path / out / "www"

    return run


def refusal(build, files):
    with pytest.raises(static.BrokenReference) as caught:
        build(files)
    return str(caught.value)


def template(text):
    return {"templates/page.html": text, "static/style.css": "a{}"}


def test_each_file_has_its_own_name_and_one_by_its_content(build):
    manifest, www = build({"static/img/logo.png": b"\x89PNG one", "static/no-suffix": "text"})
    assert re.fullmatch(r"img/logo\.[0-9a-f]{12}\.png", manifest["img/logo.png"])
    assert re.fullmatch(r"no-suffix\.[0-9a-f]{12}", manifest["no-suffix"])
    for name in (*manifest, *manifest.values()):
        assert (www / "static" / name).is_file()
    assert build({"static/img/logo.png": b"\x89PNG two"}, "again")[0]["img/logo.png"] != manifest["img/logo.png"]


def test_an_application_may_have_none(build):
    manifest, www = build({"static/.gitkeep": ""})
    assert manifest == {}
    assert www.is_dir()


def test_two_builds_of_the_same_files_are_equal_to_the_last_byte_and_time(build):
    files = {f"static/{name}": f"{name} {{ color: red; }}" for name in ("b.css", "a.js", "c/d.svg")}
    _, one = build(files, "one")
    _, two = build(files, "two")
    ones, twos = ({p.relative_to(w): p for p in w.rglob("*") if p.is_file()} for w in (one, two))
    assert ones.keys() == twos.keys()
    for name in ones:
        assert ones[name].read_bytes() == twos[name].read_bytes()
        assert ones[name].stat().st_mtime == twos[name].stat().st_mtime


def test_a_validator_of_time_and_size_tells_contents_and_encodings_apart(build):
    """nginx's ETag. Two colours may be of one length, and so may one file in two encodings."""
    _, one = build({"static/style.css": "a{color:#fff}"}, "one")
    _, two = build({"static/style.css": "a{color:#000}"}, "two")
    files = [one / "static/style.css", two / "static/style.css", *one.glob("packed/*/static/style.css")]
    assert len({file.stat().st_mtime for file in files}) == 5


def test_css_and_javascript_are_minified_and_licences_stay(build):
    files = {"static/a.css": "/* gone */ a { b : c ; }", "static/a.js": "/*! MIT */\n// gone\nlet  a = `x  y`;"}
    _, www = build(files | {"static/b.min.js": "let  kept;"})
    assert (www / "static/a.css").read_text() == "a{b:c}"
    assert (www / "static/a.js").read_text().split() == ["/*!", "MIT", "*/let", "a=`x", "y`;"]
    assert (www / "static/b.min.js").read_text() == "let  kept;"


@pytest.mark.parametrize("encoding", UNPACK)
def test_what_compresses_is_there_compressed_under_both_names(build, encoding):
    manifest, www = build({"static/style.css": "a{color:red}" * 100, "static/photo.jpg": b"\xff\xd8"})
    for name in ("style.css", manifest["style.css"]):
        packed = (www / "packed" / encoding / "static" / name).read_bytes()
        assert UNPACK[encoding](packed) == (www / "static" / name).read_bytes()
    assert len(packed) < 100
    assert not list(www.glob("packed/*/static/*.jpg"))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("url(img/a.svg)", "url(img/{})"),
        ("url('../css/img/a.svg#icon')", "url('../css/img/{}#icon')"),
        ('url("/static/css/img/a.svg?v=1")', 'url("/static/css/img/{}?v=1")'),
    ],
)
def test_css_refers_to_fingerprints(build, written, read):
    files = {"static/css/style.css": f"a{{b:{written}}}", "static/css/img/a.svg": "<svg/>"}
    manifest, www = build(files)
    expected = f"a{{b:{read.format(Path(manifest['css/img/a.svg']).name)}}}"
    assert (www / "static/css/style.css").read_text() == expected
    assert build(files | {"static/css/img/a.svg": "<svg>"})[0]["css/style.css"] != manifest["css/style.css"]


@pytest.mark.parametrize("imported", ['@import "b.css";', "@import 'b.css' print;", "@import url(b.css);"])
def test_an_imported_stylesheet_is_followed(build, imported):
    files = {"static/a.css": imported, "static/b.css": "b{c:url(c.png)}", "static/c.png": b"c"}
    manifest, www = build(files)
    assert manifest["b.css"] in (www / "static" / manifest["a.css"]).read_text()
    assert manifest["c.png"] in (www / "static" / manifest["b.css"]).read_text()
    assert "a.css -> b.css -> a.css" in refusal(build, files | {"static/b.css": "@import 'a.css';"})


@pytest.mark.parametrize(
    "url",
    [
        "url(#gradient)",
        "url(https://example.com/x.png)",
        "url(//example.com/x.png)",
        "url(/robots.txt)",
        "url(data:image/png;base64,AA==)",
        """url("data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>")""",
    ],
)
def test_css_that_refers_to_elsewhere_is_left_alone(build, url):
    _, www = build({"static/style.css": f"a{{b:{url}}}"})
    assert (www / "static/style.css").read_text() == f"a{{b:{url}}}"


@pytest.mark.parametrize("css", ["a{b:url(none.png)}", "@import 'none.png';", "a{b:url(/static/none.png)}"])
def test_css_that_refers_to_a_missing_file_fails_the_build_by_name(build, css):
    said = refusal(build, {"static/css/style.css": css})
    assert "css/style.css" in said
    assert "none.png" in said


@pytest.mark.parametrize(
    "reference",
    [
        "{{ url_for('static', filename='none.css') }}",
        '{% set x = url_for("static",\n filename="none.css") %}',
        "{% trans %}x{% endtrans %}{% if a %}{{ url_for('static', filename='none.css', _external=True) }}{% endif %}",
    ],
)
def test_a_template_that_refers_to_a_missing_file_fails_the_build_by_file_line_and_name(build, reference):
    said = refusal(build, template(f"\n\n{reference}"))
    assert "templates/page.html:3" in said
    assert "none.css" in said


def test_every_fault_of_the_templates_is_told_at_once_those_of_blueprints_included(build):
    blueprint = {"shop/templates/shop/x.html": "{{ url_for('static', filename='two.css') }}{% if %}"}
    said = refusal(build, template("{{ url_for('static', filename='one.css') }}") | blueprint)
    assert "templates/page.html:1: there is no static file one.css" in said
    assert "shop/templates/shop/x.html:1" in said


@pytest.mark.parametrize(
    "text",
    [
        "{{ url_for('static', filename='style.css') }}",
        "{{ url_for('static', filename=name) }}",
        "{{ url_for('elsewhere', filename='none.css') }}",
        "{# {{ url_for('static', filename='none.css') }} #}",
        "{% raw %}{{ url_for('static', filename='none.css') }}{% endraw %}",
    ],
)
def test_a_template_with_no_broken_reference_passes(build, text):
    build(template(text))


@pytest.mark.parametrize("folder", ["app", "tests/probe"])
def test_the_checkout_itself_builds(folder, tmp_path):
    static.main(ROOT / folder, tmp_path)


def test_the_error_pages_of_nginx_refer_to_files_that_are_there():
    for name in re.findall(r'"/static/([^"]+)"', (ROOT / "nginx/errors/error.html").read_text()):
        assert (ROOT / "app/static" / name).is_file(), name


@pytest.fixture
def published(make_app, tmp_path, monkeypatch):
    """The app with this manifest, as in its image."""

    def start(manifest):
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        monkeypatch.setattr("flagstone.static_files.MANIFEST", tmp_path / "manifest.json")
        return make_app()

    return start


def test_pages_refer_to_plain_names_where_there_is_no_manifest(client):
    assert 'href="/static/style.css"' in client.get("/").text


def test_pages_refer_to_fingerprints_where_there_is_a_manifest(published):
    page = published({"style.css": "style.abc.css", "logo.svg": "logo.abc.svg"}).test_client().get("/").text
    assert 'href="/static/style.abc.css"' in page
    assert 'href="/static/logo.abc.svg"' in page


def test_a_name_that_the_manifest_lacks_is_an_error_not_a_broken_link(published):
    app = published({"style.css": "style.abc.css"})
    with app.test_request_context(), pytest.raises(KeyError, match="none"):
        app.url_for("static", filename="none.css")
