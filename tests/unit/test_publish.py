"""Static files of several releases in one place: flagstone/publish.py."""

import os

import pytest

from flagstone.publish import prune, publish

OLD, NEW = "static/style.aaaaaaaaaaaa.css", "static/style.bbbbbbbbbbbb.css"


@pytest.fixture
def release(tmp_path):
    """Publishes a release with these files; returns where they are."""

    def make(name, files):
        built = tmp_path / name
        for path, text in files.items():
            file = built / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            os.utime(file, (1000, 1000))
        publish(built, tmp_path / "www", name)
        return tmp_path / "www"

    return make


def test_pages_of_both_releases_find_their_files(release):
    release("one", {OLD: "old", "static/style.css": "old"})
    www = release("two", {NEW: "new", "static/style.css": "new"})
    assert (www / OLD).read_text() == "old"
    assert (www / NEW).read_text() == "new"
    assert (www / "static/style.css").read_text() == "new"


def test_a_file_that_is_gone_is_gone(release):
    release("one", {"public/robots.txt": "none", OLD: "old"})
    www = release("two", {})
    assert not (www / "public/robots.txt").exists()
    assert (www / OLD).exists(), "a page of the former release may still ask for it"


def test_going_back_brings_the_plain_names_back(release):
    release("one", {"static/style.css": "old"})
    release("two", {"static/style.css": "new"})
    assert (release("one", {"static/style.css": "old"}) / "static/style.css").read_text() == "old"


def test_what_no_kept_release_has_is_pruned(release):
    release("one", {OLD: "old"})
    release("two", {NEW: "new", "static/logo.svg": "both"})
    www = release("three", {NEW: "new", "static/logo.svg": "both"})
    assert prune(www, ["two", "three"]) == 1
    assert not (www / OLD).exists()
    assert (www / NEW).exists()
    assert (www / "static/logo.svg").exists()


def test_the_time_of_a_file_is_the_builds(release):
    """nginx makes its ETag of it."""
    www = release("one", {OLD: "old"})
    assert (www / OLD).stat().st_mtime == 1000


def test_an_unchanged_file_is_left_alone(release):
    www = release("one", {"static/style.css": "same"})
    before = (www / "static/style.css").stat().st_ino
    release("two", {"static/style.css": "same"})
    assert (www / "static/style.css").stat().st_ino == before


def test_a_first_dot_does_not_make_a_fingerprint(release):
    """jquery.min.js is a plain name."""
    release("one", {"static/jquery.min.js": "old"})
    assert not (release("two", {}) / "static/jquery.min.js").exists()
