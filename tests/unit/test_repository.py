"""Facts that stand in two places agree, and the checkout is fit for Linux containers."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT


def test_every_text_file_has_unix_line_ends():
    """CRLF breaks the scripts inside images; .gitattributes keeps it out of a checkout on Windows."""
    assert "* text=auto eol=lf" in Path(".gitattributes").read_text()
    for file in Path().rglob("*"):
        if file.is_file() and file.suffix not in {".ico", ".png", ".pyc"}:
            assert b"\r\n" not in file.read_bytes(), file


PAGES = [page for folder in ("flagstone", "nginx", "starter") for page in (ROOT / folder).rglob("*.html")]


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_page_of_the_platform_needs_more_than_the_content_security_policy_allows(file):
    """No inline script or style without a nonce, no handler, and nothing from another site."""
    text = file.read_text()
    assert not re.search(r"<(script(?![^>]*\s(src|nonce)=)|style(?![^>]*\snonce=))", text)
    assert not re.search(r"\s(style|on\w+)=|javascript:|=[\"'](https?:)?//", text)


def test_nginx_keeps_no_connection_to_the_application():
    """Or it would send a request into one that gunicorn is just closing, and it must not send a POST twice."""
    assert "keepalive 0;" in Path("nginx/http/upstream.conf").read_text()
    assert re.search(r"^    default +close;$", Path("nginx/http/websocket.conf").read_text(), re.MULTILINE)


def test_ruff_reads_each_file_as_the_python_of_its_image_does():
    """So what only a newer one can read is found by `make lint`. A folder without an image has no Python at all."""
    ruff = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["ruff"]
    # What runs on the host has a target of its own, in starter/ and swarm/: ruff.toml. The backup's is its Debian's.
    for folder in {file.parts[0] for file in Path().rglob("*.py")} - {"starter", "swarm", "backup"}:
        image = Path("flagstone" if folder in ("app", "nginx") else folder, "Dockerfile")  # the static files are its
        images = re.findall(r"^FROM python:([\d.]+)", image.read_text(), re.MULTILINE)
        target = ruff.get("per-file-target-version", {}).get(f"{folder}/**", ruff["target-version"])
        assert {f"py{version.replace('.', '')}" for version in images} == {target}, folder


def test_certbots_plugins_are_locked_for_the_certbot_that_is_installed():
    def pins(name):
        return set(re.findall(r"^\S+==\S+", Path("certbot", name).read_text(), re.MULTILINE))

    assert pins("requirements.txt") <= pins("dns.txt")


def test_links_between_pages_lead_somewhere():
    for page in (Path("README.md"), Path("CONTRIBUTING.md"), *Path("docs").glob("*.md"), Path("offline/README.md")):
        for target in re.findall(r"\]\((?!https?:|#|mailto:|../../actions/)([^)#]+)", page.read_text()):
            assert (ROOT / page.parent / target).exists(), (page, target)
