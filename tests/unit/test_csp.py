"""What the Content Security Policy needs of the application: nonces, and what becomes of browsers' reports."""

import json
import logging
import subprocess

import pytest
from flask import Flask, Response, abort, render_template_string, stream_template_string
from flask_caching import Cache

import flagstone
from flagstone import csp
from flagstone.config import load
from flagstone.extensions import cache

PAGE = "https://example.test/page?token=canary"
POLICY = "script-src 'self'"


@pytest.fixture
def make_site(tmp_path):
    """An application that does this `before` it is put on the platform."""

    def make(before=lambda app: None):
        app = Flask("site")
        before(app)
        flagstone.init_app(app, load({"APP_ENV": "Test", "UPLOAD_FOLDER": str(tmp_path)}))
        return app

    return make


@pytest.fixture
def site(make_site):
    return make_site()


@pytest.fixture
def browser(site):
    return site.test_client()


@pytest.fixture
def said(caplog):
    """What the platform has logged of the CSP."""
    caplog.set_level(logging.WARNING, "flagstone.csp")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "flagstone.csp"]


def by_uri(directive, blocked, **more):
    """As `report-uri` has it."""
    fields = {"document-uri": PAGE, "effective-directive": directive, "blocked-uri": blocked, "disposition": "report"}
    return json.dumps({"csp-report": {**fields, "original-policy": POLICY, **more}})


def by_reporting_api(*findings, kind="csp-violation"):
    common = {"documentURL": PAGE, "disposition": "report", "originalPolicy": POLICY}
    return json.dumps(
        [
            {
                "type": kind,
                "age": 1,
                "url": PAGE,
                "body": {**common, "effectiveDirective": directive, "blockedURL": blocked},
            }
            for directive, blocked in findings
        ]
    )


def send(client, body, **options):
    return client.post("/csp-report", data=body, **{"content_type": "application/csp-report", **options}).status_code


@pytest.mark.parametrize(
    ("directive", "blocked", "allowing"),
    [
        ("script-src-elem", "https://cdn.test/a.js?v=1", "script-src https://cdn.test"),
        ("img-src", "https://img.test:8443/a.png", "img-src https://img.test:8443"),
        ("connect-src", "wss://live.test/", "connect-src wss://live.test"),
        ("img-src", "https://example.test/logo.png", "img-src 'self'"),
        ("img-src", "data", "img-src data:"),
        ("img-src", "data:image/png;base64,AAAA", "img-src data:"),
        ("worker-src", "blob", "worker-src blob:"),
        ("script-src", "eval", "script-src 'unsafe-eval'"),
        ("script-src", "wasm-eval", "script-src 'wasm-unsafe-eval'"),
        ("script-src-elem", "inline", "script-src 'unsafe-inline' (or nonce=\"{{ csp_nonce() }}\" in the tag)"),
        (
            "script-src-attr",
            "inline",
            "script-src 'unsafe-inline' (or a listener in a file, instead of onclick and the like)",
        ),
        ("style-src-attr", "inline", "style-src 'unsafe-inline' (or a class in a file, instead of style attributes)"),
        ("form-action", "https://pay.test", "form-action https://pay.test"),
        ("base-uri", "https://base.test/", "base-uri https://base.test"),
        (
            "frame-ancestors",
            "https://example.test/",
            "frame-ancestors https://its.name (the site that frames these pages: no report names it)",
        ),
    ],
)
def test_a_report_becomes_a_line_with_what_to_add_to_the_policy(browser, said, directive, blocked, allowing):
    assert send(browser, by_uri(directive, blocked)) == 204
    assert said() == [f"CSP would block what this allows: {allowing}"]


def test_what_is_blocked_is_told_from_what_would_be(browser, said):
    send(browser, by_uri("img-src", "https://img.test/", disposition="enforce"))
    assert said() == ["CSP blocks what this allows: img-src https://img.test"]


def test_both_formats_of_reports_are_understood(browser, said):
    body = by_reporting_api(("img-src", "https://a.test/x"), ("font-src", "https://b.test/y"))
    assert send(browser, body, content_type="application/reports+json") == 204
    assert [line.rpartition(": ")[2] for line in said()] == ["img-src https://a.test", "font-src https://b.test"]


def test_older_browsers_name_the_directive_in_another_place(browser, said):
    fields = {"document-uri": PAGE, "violated-directive": "img-src 'self'", "blocked-uri": "https://img.test"}
    send(browser, json.dumps({"csp-report": fields}))
    assert said() == ["CSP blocks what this allows: img-src https://img.test"]


def test_a_finding_is_one_line_until_the_policy_is_another(browser, said):
    for nonce in ("one", "two"):  # which is another one in each response
        send(browser, by_uri("img-src", "https://img.test/1", **{"original-policy": f"img-src 'self' 'nonce-{nonce}'"}))
    assert len(said()) == 1
    send(browser, by_uri("img-src", "https://img.test/2", **{"original-policy": "img-src 'none'"}))
    assert len(said()) == 2


def test_a_crowd_of_findings_fills_no_log_and_an_hour_later_it_starts_anew(browser, said, monkeypatch):
    for start in range(0, 300, 100):
        send(browser, by_reporting_api(*(("img-src", f"https://{start + number}.test") for number in range(100))))
    assert len(said()) == csp.FINDINGS_MAX + 1
    assert "no further ones are logged for an hour" in said()[-1]
    now = csp.time.monotonic()
    monkeypatch.setattr(csp.time, "monotonic", lambda: now + csp.FORGOTTEN_AFTER + 1)
    send(browser, by_uri("img-src", "https://1.test"))
    assert said()[-1].endswith("img-src https://1.test")


def test_only_so_many_reports_of_one_body_are_looked_at(browser, said):
    send(browser, by_reporting_api(*[("img-src", "about")] * 10, *[("img-src", "https://a.test")] * csp.REPORTS_MAX))
    send(browser, by_reporting_api(*[("img-src", "https://a.test")] * csp.REPORTS_MAX, ("img-src", "https://b.test")))
    assert [line.rpartition(" ")[2] for line in said()] == ["https://a.test"]


def test_nothing_of_a_visitor_reaches_the_log(browser, said):
    private = {
        "referrer": "https://canary.test/",
        "script-sample": "canary",
        "source-file": PAGE,
        "original-policy": "img-src canary",
    }
    send(browser, by_uri("img-src", "https://user:canary@img.test/canary?canary#canary", **private))
    assert said() == ["CSP would block what this allows: img-src https://img.test"]


@pytest.mark.parametrize(
    ("directive", "blocked"),
    [
        ("img-src", "https://img.test\n{}/"),
        ("img-src", "https://img.test; script-src *"),
        ("img-src", "https://img.test'/"),
        ("img-src", "https://[::1"),
        ("img-src", "https://img.test:99999/"),
        ("img-src", "javascript:alert(1)"),
        ("img-src", "ftp://img.test/"),
        ("img-src", 1),
        ("img-src", f"https://{'a' * 300}.test"),
        ("img-src", ""),
        ("img-src\ncanary", "https://img.test"),
        ("sandbox", "https://img.test"),
        ("require-trusted-types-for", "trusted-types-sink"),
        ("script-src", "chrome-extension"),
    ],
)
def test_what_no_policy_can_say_is_not_logged(browser, said, directive, blocked):
    for document in (PAGE, "about:srcdoc"):
        assert send(browser, by_uri(directive, blocked, **{"document-uri": document})) == 204
    assert not said()


@pytest.mark.parametrize("source", ["chrome-extension", "moz-extension://4f/x.js", "safari-web-extension://4f/x.js"])
def test_what_a_visitors_browser_put_into_the_page_is_not_logged(browser, said, source):
    send(browser, by_uri("script-src-elem", "https://adware.test/x.js", **{"source-file": source}))
    assert not said()


@pytest.mark.parametrize("body", ["", "{", "1", '"text"', "[1]", "[[]]", "[" * 65_000, b"\xff"])
def test_what_is_no_report_is_refused_and_never_an_error(browser, said, body):
    assert send(browser, body) == 400
    assert not said()


@pytest.mark.parametrize("body", ["{}", "[]", '{"csp-report": 1}', '[{"type": "csp-violation"}]', '[{"body": {}}]'])
def test_a_report_of_something_else_is_taken_and_dropped(browser, said, body):
    assert send(browser, body) == 204
    assert send(browser, by_reporting_api(("img-src", "https://img.test"), kind="deprecation")) == 204
    assert not said()


def test_a_large_body_is_not_read(browser):
    assert send(browser, " " * (csp.REPORT_MAX + 1)) == 413


def test_no_hook_of_the_application_stands_in_its_way(make_site, said):
    """Neither our CSRF check, nor Flask-WTF's, nor one that sends everybody to the login page."""
    site = make_site(lambda app: app.before_request(lambda: abort(401)))
    as_browsers_do = {"Origin": "null", "Sec-Fetch-Site": "cross-site"}  # for a page in a frame
    assert send(site.test_client(), by_uri("img-src", "https://img.test"), headers=as_browsers_do) == 204
    assert said()


def test_an_application_keeps_an_address_of_that_name(make_site, said):
    def before(app):
        app.add_url_rule("/csp-report", methods=["POST"], view_func=lambda: ("mine", 200))

    assert send(make_site(before).test_client(), by_uri("img-src", "https://img.test")) == 200
    assert not said()


def test_only_a_post_is_a_report(browser):
    assert browser.get("/csp-report").status_code == 404


def test_a_nonce_is_one_for_a_response_and_nginx_is_told_of_it(site, browser):
    site.add_url_rule("/", view_func=lambda: render_template_string("{{ csp_nonce() }} {{ csp_nonce() }}"))
    answers = [browser.get("/") for _ in range(2)]
    nonces = {nonce for answer in answers for nonce in answer.text.split()}
    assert len(nonces) == 2
    assert [answer.headers["X-CSP-Nonce"] for answer in answers] == [answer.text.split()[0] for answer in answers]
    assert {len(nonce) for nonce in nonces} == {22}, "128 bits; nginx/http/headers.conf.template asks for these"


def test_a_response_with_a_nonce_is_kept_by_no_cache(site, browser):
    def page():
        answer = Response(csp.csp_nonce())
        answer.headers["Cache-Control"] = "public, max-age=60"
        return answer

    site.add_url_rule("/", view_func=page)
    site.add_url_rule("/plain", endpoint="plain", view_func=lambda: "plain")
    assert browser.get("/").headers.get_all("Cache-Control") == ["no-store"]
    plain = browser.get("/plain")
    assert "Cache-Control" not in plain.headers
    assert "X-CSP-Nonce" not in plain.headers


@pytest.mark.parametrize("kind", ["text", "response", "tuple"])
@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_a_page_with_a_nonce_is_made_anew_each_time_although_it_is_to_be_cached(make_site, said, kind, whose):
    theirs = Cache(config={"CACHE_TYPE": "SimpleCache"})
    site = make_site(lambda app: theirs.init_app(app))
    browser = site.test_client()
    page = {"text": str, "response": Response, "tuple": lambda text: (text, 200)}[kind]
    cached = (cache if whose == "ours" else theirs).cached
    site.add_url_rule("/", endpoint="page", view_func=cached()(lambda: page(f"<script nonce={csp.csp_nonce()}>")))
    for _ in range(2):
        answer = browser.get("/")
        assert answer.headers["X-CSP-Nonce"] in answer.text
    assert said()[0].startswith("Not cached, because csp_nonce() is in it")


def test_what_has_no_nonce_in_it_is_cached_beside_one(site, browser):
    site.add_url_rule("/", view_func=lambda: csp.csp_nonce() + str(cache.set("part", "costly")))
    browser.get("/")
    with site.app_context():
        assert cache.get("part") == "costly"


def test_a_stream_that_asks_too_late_says_so(site, browser):
    site.add_url_rule("/late", view_func=lambda: stream_template_string("begun {{ csp_nonce() }}"))

    @site.get("/early")
    def early():
        csp.csp_nonce()
        return stream_template_string("{{ csp_nonce() }}")

    with pytest.raises(RuntimeError, match="too late"):
        assert browser.get("/late").text
    answer = browser.get("/early")
    assert answer.text == answer.headers["X-CSP-Nonce"]


def test_a_mail_may_be_made_of_the_same_templates(site):
    with site.app_context():
        assert render_template_string("{{ csp_nonce() }}") != render_template_string("{{ csp_nonce() }}")


def test_an_application_keeps_a_function_of_that_name(make_site):
    site = make_site(lambda app: app.jinja_env.globals.update(csp_nonce=lambda: "its own"))
    with site.app_context():
        assert render_template_string("{{ csp_nonce() }}") == "its own"


def policy(text):
    """As nginx sends it; $nonce is the nonce of a response that has one."""
    return subprocess.run(
        ["awk", "-f", "nginx/policy.awk"], input=text, text=True, capture_output=True, check=True
    ).stdout


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("img-src 'self'; img-src data: 'self'", "img-src 'self' data:"),
        ("img-src 'none'; img-src data:", "img-src data:"),
        ("frame-ancestors 'none'; frame-ancestors https://a.test", "frame-ancestors https://a.test"),
        ("IMG-SRC  'self' ;; font-src data:; ", "img-src 'self'; font-src data:"),
        ("script-src 'self'; style-src 'self'", "script-src 'self'$nonce; style-src 'self'$nonce"),
        ("default-src 'self'; script-src 'self'", "default-src 'self'$nonce; script-src 'self'$nonce"),
        ("default-src 'none'", "default-src$nonce_or_none"),
        ("default-src 'none'; script-src a; style-src b", "default-src 'none'; script-src a$nonce; style-src b$nonce"),
        ("script-src 'unsafe-inline'", "script-src 'unsafe-inline'"),
        ("script-src 'strict-dynamic' 'unsafe-inline'", "script-src 'strict-dynamic' 'unsafe-inline'$nonce"),
        ("script-src 'self'; script-src 'unsafe-inline'", "script-src 'self' 'unsafe-inline'"),
        ("upgrade-insecure-requests", "upgrade-insecure-requests"),
    ],
)
def test_a_policy_is_joined_by_directive_and_has_a_place_for_the_nonce(given, sent):
    assert policy(given) == f"{sent}; report-uri /csp-report"


def test_a_policy_that_reports_elsewhere_does_not_report_here():
    assert policy("img-src a; report-uri https://b.test/?key=c") == "img-src a; report-uri https://b.test/?key=c"
    assert policy("img-src a; report-to b") == "img-src a; report-to b"
