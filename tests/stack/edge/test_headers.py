"""Security headers: nginx sends them, each once, with every answer."""

import http.client
import io
import json

import pytest

from tests.stack.conftest import edited, nginx_with
from tests.wait import until

POLICY = {
    "default-src 'none'",
    *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "font", "connect", "manifest")),
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "report-uri /csp-report",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "nginx",  # with no version
}

# Where each kind of answer comes from: method, path, headers, status.
ANSWERS = {
    "page": ("GET", "/", {}, 200),
    "API": ("GET", "/api/items", {}, 200),
    "health": ("GET", "/health", {}, 200),
    "static": ("GET", "/static/style.css", {}, 200),
    "packed": ("GET", "/static/style.css", {"Accept-Encoding": "gzip"}, 200),
    "image": ("GET", "/static/logo.svg", {}, 200),
    "root file": ("GET", "/robots.txt", {}, 200),
    "HEAD": ("HEAD", "/", {}, 200),
    "not modified": ("GET", "/static/style.css", {"If-None-Match": "*"}, 304),
    "redirect": ("POST", "/items", {"Content-Type": "application/x-www-form-urlencoded"}, 303),
    "application's 404": ("GET", "/none", {}, 404),
    "application's 404 in the API": ("GET", "/api/none", {}, 404),
    "application's 403": ("POST", "/items", {"Origin": "https://evil.test"}, 403),
    "nginx's 404": ("GET", "/static/none", {}, 404),
    "nginx's 404 of a hidden file": ("GET", "/.git", {}, 404),
    "nginx's 400": ("GET", "/static/../x", {}, 400),
    "nginx's 413": ("POST", "/api/items", {"Content-Length": "99999999"}, 413),
}


def check(headers, *, https):
    for name, value in HEADERS.items():
        assert headers.get_all(name) == [value], name
    assert len(headers.get_all("X-Request-ID")) == 1
    (permissions,) = headers.get_all("Permissions-Policy")
    assert {"camera=()", "geolocation=()", "microphone=()"} <= set(permissions.split(", "))
    (policy,) = headers.get_all("Content-Security-Policy")
    assert set(policy.split("; ")) == POLICY | ({"upgrade-insecure-requests"} if https else set())
    assert "Content-Security-Policy-Report-Only" not in headers
    assert "X-CSP-Nonce" not in headers
    assert "X-XSS-Protection" not in headers
    assert "Strict-Transport-Security" not in headers, "over plain HTTP or a placeholder; tests/tls has the rest"


@pytest.mark.parametrize("kind", ANSWERS)
def test_every_answer_carries_each_security_header_once(stack, kind):
    method, path, headers, status = ANSWERS[kind]
    body = "name=headers" if kind == "redirect" else None
    answer = stack.site.request(method, path, headers=headers, body=body)
    assert answer.status == status
    check(answer.headers, https=stack.site.tls)


def test_so_does_the_answer_to_a_request_that_cannot_be_read(stack):
    head, _, rest = stack.site.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").partition(b"\r\n")
    assert b" 400 " in head
    check(http.client.parse_headers(io.BytesIO(rest)), https=stack.site.tls)


@pytest.mark.parametrize("door", ["http", "site"])
def test_so_does_a_redirect_of_nginx(prod, door):
    site = getattr(prod, door)
    answer = site.get("/", host=f"www.{site.host}")
    assert answer.status == 308
    check(answer.headers, https=site.tls)


def test_so_does_the_page_that_says_the_application_is_away(prod):
    with prod.without("app"):
        answer = until(lambda: (a := prod.site.get("/")).status == 502 and a)
        check(answer.headers, https=True)


def test_a_response_may_bring_a_policy_of_its_own_which_is_then_the_one(prod):
    answer = prod.site.get("/own-policy")
    assert answer.headers.get_all("Content-Security-Policy") == ["frame-ancestors https://partner.test"]


def test_a_response_may_bring_other_headers_of_its_own_and_each_is_sent_once(prod):
    headers = prod.site.get("/own-headers").headers
    assert headers.get_all("Referrer-Policy") == ["same-origin"]
    assert headers.get_all("Cross-Origin-Opener-Policy") == ["unsafe-none"]
    assert headers.get_all("Cross-Origin-Resource-Policy") == ["cross-origin"]
    assert headers.get_all("Permissions-Policy") == ["camera=*"]
    assert headers.get_all("Content-Security-Policy-Report-Only") == ["img-src https:"]
    assert headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert "Strict-Transport-Security" not in headers, "the certificate is a placeholder, which locks visitors out"
    (policy,) = headers.get_all("Content-Security-Policy")
    assert "script-src 'self'" in policy, "a policy that only reports takes no other away"


def test_each_header_is_a_setting(prod):
    settings = {
        "CSP": "default-src 'self'; img-src https: data:",
        "CSP_REPORT_ONLY": "img-src 'self'",
        "REFERRER_POLICY": "no-referrer, strict-origin",
        "COOP": "same-origin-allow-popups",
        "CORP": "cross-origin",
        "PERMISSIONS_POLICY": 'camera=(self "https://call.test"), geolocation=*',
    }
    with nginx_with(prod, **settings):
        for path in ("/", "/static/style.css", "/static/none"):
            headers = prod.site.get(path).headers
            assert headers.get_all("Content-Security-Policy") == [
                f"{settings['CSP']}; report-uri /csp-report; upgrade-insecure-requests"
            ]
            assert headers.get_all("Content-Security-Policy-Report-Only") == ["img-src 'self'; report-uri /csp-report"]
            assert headers.get_all("Referrer-Policy") == ["no-referrer, strict-origin"]
            assert headers.get_all("Cross-Origin-Opener-Policy") == ["same-origin-allow-popups"]
            assert headers.get_all("Cross-Origin-Resource-Policy") == ["cross-origin"]
            assert headers.get_all("Permissions-Policy") == [settings["PERMISSIONS_POLICY"]]
        assert "Content-Security-Policy-Report-Only" not in prod.site.get("/own-policy").headers


def test_an_application_has_headers_of_its_own_and_env_the_last_word(prod):
    def sent():
        nginx = json.loads(prod.compose("config", "--format", "json"))["services"]["nginx"]
        return nginx["environment"]["COOP"]

    extends = 'extends: { file: ../nginx/services.yaml, service: "tls-${TLS:-on}" }'
    own = f'{extends}\n    environment: {{ COOP: "${{COOP:-unsafe-none}}" }}'
    assert sent() == "same-origin"
    with edited("app/services.yaml", extends, own):
        assert sent() == "unsafe-none"
        with edited(".env", "#COOP=", "COOP=noopener-allow-popups\n#COOP="):
            assert sent() == "noopener-allow-popups"
