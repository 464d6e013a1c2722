"""Facts that stand in two places agree, and the checkout is fit for Linux containers."""

import re
from pathlib import Path


def test_every_text_file_has_unix_line_ends():
    """CRLF breaks the scripts inside images; .gitattributes keeps it out of a checkout on Windows."""
    assert "* text=auto eol=lf" in Path(".gitattributes").read_text()
    for file in Path().rglob("*"):
        if file.is_file() and file.suffix not in {".ico", ".png", ".pyc"}:
            assert b"\r\n" not in file.read_bytes(), file


def test_gunicorn_keeps_connections_longer_than_nginx():
    """Or nginx would send a request into a connection that gunicorn is just closing."""
    upstream = Path("nginx/http/upstream.conf").read_text()
    nginx = int(re.search(r"^\s*keepalive_timeout (\d+)s;", upstream, re.MULTILINE)[1])
    gunicorn = int(re.search(r"^keepalive = (\d+)", Path("app/gunicorn.conf.py").read_text(), re.MULTILINE)[1])
    assert gunicorn > nginx
