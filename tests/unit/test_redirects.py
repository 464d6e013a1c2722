"""A link may say where to go next, and that is never another site, however a browser reads it."""

from itertools import product

import pytest
from flask import redirect, request
from playwright.sync_api import sync_playwright

from flagstone.redirects import local_target

LOCAL = [
    *("/", "/items", "/items/", "/items?page=2", "/items#top", "/?next=https://evil.test/", "/a//b", "/a/../b"),
    *("/m%C3%B6bel", "/möbel", "/items?q=a b", "/@evil.test", "/:80", "/%2f%2fevil.test", "/%5cevil.test"),
    *("/%09/evil.test", "/%0a/evil.test", "/http://evil.test", "/[", "/?q=[", "/.evil.test", "/\uff0fevil.test"),
]
ELSEWHERE = [
    *("//evil.test", "///evil.test", "////evil.test", "/////evil.test/x", "//evil.test:80/", "//u:p@evil.test", "//["),
    *("\\\\evil.test", "/\\evil.test", "\\/evil.test", "/\\/evil.test", "//\\evil.test", "/a\\b", "\\evil.test"),
    *("/\t/evil.test", "/\n/evil.test", "/\r\n/evil.test", "\t//evil.test", " //evil.test", "/\x00/evil.test"),
    *("\x01//evil.test", "/\x0b/evil.test", "/\x7f", "/a\u2028b", "/\u200b/evil.test", "/\u00a0/evil.test"),
    *("http://evil.test", "https://evil.test", "HTTPS:evil.test", "http:/evil.test", "https:///evil.test", "http:\\\\"),
    *("https:@evil.test", "javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "ftp://evil.test"),
    *("evil.test", "items", "?page=2", "#top", "@evil.test", ":80", ".", "..//evil.test", "\u2215\u2215evil.test"),
    *("\uff0f\uff0fevil.test", "\uff0f/evil.test", "%2f%2fevil.test", "", " ", "[", "/" + "x" * 1000, "/" + "ö" * 500),
]
# What addresses are taken apart at, and what browsers drop. Three of them one after the other: 13,824 beginnings.
PARTS = ["", "/", "\\", "\t", "\n", "\r", "\x00", "\x0b", " ", ".", "..", "@", ":", "?", "#", "[", "%2f", "%5c", "%09"]
PARTS += ["http:", "javascript:", "\u00a0", "\uff0f", "\u2044"]


@pytest.mark.parametrize("text", LOCAL)
def test_a_path_on_this_site_is_where_one_goes(text):
    assert local_target(text) == text


@pytest.mark.parametrize("text", ELSEWHERE)
def test_anything_else_is_not(text):
    assert local_target(text) is None


def test_chromium_stays_on_this_site_wherever_it_is_sent(app):
    """Judged by what is in Location in the end, which Werkzeug rewrites."""
    texts = [*LOCAL, *ELSEWHERE, *(f"/{''.join(parts)}evil.test" for parts in product(PARTS, repeat=3))]
    passed = [text for text in texts if local_target(text)]
    assert len(passed) > 1000

    def sent(text):
        with app.test_request_context("/enter"):
            return redirect(text).get_wsgi_headers(request.environ)["Location"]

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium-headless-shell", args=["--no-sandbox"])
        read = "texts => texts.map(text => URL.parse(text, 'https://site.test/enter')?.origin)"
        origins = browser.new_page().evaluate(read, [sent(text) for text in passed])
        browser.close()
    assert {text for text, origin in zip(passed, origins, strict=True) if origin != "https://site.test"} == set()
