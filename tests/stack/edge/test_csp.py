"""The Content Security Policy in a real browser: what it reports becomes lines from which the policy can be written."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.stack.browser import browser
from tests.stack.conftest import DOMAIN, networks, nginx_with
from tests.wait import until

LISTEN = (
    "window.refused = []; addEventListener('securitypolicyviolation', event => refused.push(event.effectiveDirective))"
)
REPORT = json.dumps({"csp-report": {"effective-directive": "img-src", "blocked-uri": "https://once.test/"}})
BURST = 101  # of reports and of pages: nginx/http/rate-limits.conf.template


def findings(stack):
    """What the application has logged of the policy since it was started, without repetition by its processes."""
    lines = [json.loads(line) for line in stack.logs("app").splitlines() if "flagstone.csp" in line]
    return {line["message"] for line in lines if line["logger"] == "flagstone.csp"}


def to_allow(lines):
    """What a person would paste from them."""
    return "; ".join(line.partition("what this allows: ")[2].partition(" (")[0] for line in sorted(lines))


def visit(chromium, path):
    """What of the page works, and which directives it offends."""
    with networks():
        page = chromium.new_page(base_url=f"https://{DOMAIN}", ignore_https_errors=True)
        page.add_init_script(LISTEN)
        page.goto(path)
        for button in page.get_by_role("button").all():
            button.click()
        page.wait_for_load_state("networkidle")
        styled = page.evaluate("getComputedStyle(document.querySelector('p')).color") == "rgb(1, 2, 3)"
        return dict(page.evaluate("({...document.body.dataset})"), styled=styled), page.evaluate("refused")


def test_a_page_that_moves_in_works_and_its_log_says_what_to_add_until_the_policy_lets_it(prod):
    before = findings(prod)
    with nginx_with(prod, CSP_REPORT_ONLY="on"):
        headers = prod.site.get("/moved-in").headers
        assert headers.get_all("Content-Security-Policy") == ["upgrade-insecure-requests"]
        (policy,) = headers.get_all("Content-Security-Policy-Report-Only")
        with browser(prod) as chromium:
            works, refused = visit(chromium, "/moved-in")
        assert works == {"ran": "yes", "clicked": "yes", "styled": True}
        assert refused
        lines = until(lambda: len(found := findings(prod) - before) == 6 and found)
        assert all(line.startswith("CSP would block what this allows: ") for line in lines)
    allowed = to_allow(lines)
    for part in (
        "script-src https://cdn.test",
        "script-src 'unsafe-inline'",
        "style-src 'unsafe-inline'",
        "img-src data:",
    ):
        assert part in allowed

    with nginx_with(prod, CSP=f"{policy.partition('; report-uri')[0]}; {allowed}"), browser(prod) as chromium:
        works, refused = visit(chromium, "/moved-in")
        assert works == {"ran": "yes", "clicked": "yes", "styled": True}
        assert not refused


def test_a_script_with_the_nonce_of_its_response_runs_and_none_beside_it(prod):
    before = findings(prod)
    with browser(prod) as chromium:
        works, refused = visit(chromium, "/nonce")
    assert works == {"ran": "yes", "styled": True}
    assert refused == ["script-src-elem"]
    line = until(lambda: findings(prod) - before)
    assert to_allow(line) == "script-src 'unsafe-inline'"
    assert "blocks" in str(line)


def test_each_response_has_a_nonce_of_its_own_in_its_policy_and_nowhere_else(prod):
    answers = [prod.site.get("/nonce") for _ in range(2)]
    nonces = [answer.text.partition('nonce="')[2].partition('"')[0] for answer in answers]
    assert nonces[0] != nonces[1]
    for answer, nonce in zip(answers, nonces, strict=True):
        (policy,) = answer.headers.get_all("Content-Security-Policy")
        given = {part.split()[0] for part in policy.split("; ") if f"'nonce-{nonce}'" in part}
        assert given == {"script-src", "style-src"}
        assert answer.headers["Cache-Control"] == "no-store"
        assert nonce not in str(answer.headers).replace(policy, "")
    assert "nonce-" not in prod.site.get("/").headers["Content-Security-Policy"]


def test_what_looks_like_a_nonce_and_is_none_does_not_reach_the_policy(prod):
    assert "unsafe" not in prod.site.get("/bad-nonce").headers["Content-Security-Policy"]


def report(site, body=REPORT, **headers):
    headers = {"Content-Type": "application/csp-report", "Sec-Fetch-Site": "cross-site", "Origin": "null", **headers}
    return site.request("POST", "/csp-report", body=body, headers=headers)


def test_a_report_is_logged_once(prod):
    for _ in range(20):
        assert report(prod.site).status == 204
    lines = until(lambda: [it for it in prod.logs("app").splitlines() if "https://once.test" in it])
    processes = prod.exec("app", "nproc")
    assert 1 <= len(lines) <= int(processes)


def test_nginx_has_no_line_of_a_report(prod):
    head = f"HTTP/1.1\r\nHost: {DOMAIN}\r\nUser-Agent: reporter"
    both = f"POST /csp-report {head}\r\nContent-Length: {len(REPORT)}\r\n\r\n{REPORT}"
    both += f"GET /static/style.css {head}\r\nConnection: close\r\n\r\n"
    assert b" 204 " in prod.site.send(both.encode())  # on one connection: one worker of nginx has both, in this order
    lines = until(lambda: [it for it in prod.logs("nginx").splitlines() if '"reporter"' in it])
    assert [json.loads(line)["path"] for line in lines] == ["/static/style.css"]


def test_nginx_refuses_a_large_report_by_itself(prod):
    answer = report(prod.site, body=" " * 70_000)
    assert answer.status == 413
    assert "The request is larger than this site takes" in answer.text


@pytest.mark.long
def test_reports_have_limits_of_their_own_and_use_up_nobodys_pages(prod):
    with nginx_with(prod, RATE_LIMIT="1r/m"):
        statuses = [report(prod.site).status for _ in range(2 * BURST)]
        assert statuses[: BURST - 10] == [204] * (BURST - 10)
        assert 429 in statuses
        assert [prod.site.get("/static/style.css").status for _ in range(BURST - 10)] == [200] * (BURST - 10)


@pytest.mark.long
def test_a_crowd_of_reporters_is_limited_as_one(prod):
    with nginx_with(prod, TRUSTED_PROXIES="0.0.0.0/0"), ThreadPoolExecutor(8) as crowd:
        addresses = [f"192.0.2.{number}" for number in range(1, 255)] * 2
        statuses = list(crowd.map(lambda address: report(prod.site, **{"X-Forwarded-For": address}).status, addresses))
    assert statuses[:100] == [204] * 100
    assert 429 in statuses
