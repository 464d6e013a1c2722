import re
import subprocess
import sys

import pytest
from sqlalchemy import create_engine
from werkzeug.test import create_environ, run_wsgi_app

from flagstone.extensions import db

ID = "0123456789abcdef0123456789abcdef"
NOWHERE = "postgresql://app@127.0.0.1:1/app"


def test_health_says_what_is_there(client):
    answer = client.get("/health")
    assert (answer.status_code, answer.json) == (
        200,
        {"status": "ok", "database": "ok", "cache": "ok", "release": "unknown"},
    )


def test_health_is_503_without_a_database_and_liveness_is_not(make_app):
    client = make_app(DATABASE_URL=NOWHERE).test_client()
    assert (client.get("/health").status_code, client.get("/health").json["database"]) == (503, "unavailable")
    assert client.get("/health/live").status_code == 200


def test_a_busy_database_degrades_and_a_full_pool_hides_no_lost_one(make_app, monkeypatch):
    """All connections are in use: an instance that left the rotation would leave its load to the others."""
    app = make_app(DATABASE_URL=NOWHERE, DATABASE_POOL_SIZE="1", DATABASE_MAX_OVERFLOW="2")
    with app.app_context():
        monkeypatch.setattr(db.engine.pool, "checkedout", lambda: 3)
        assert app.test_client().get("/health").status_code == 503
        app.extensions["spare_database"] = create_engine("sqlite://")
    answer = app.test_client().get("/health")
    assert (answer.status_code, answer.json["status"], answer.json["database"]) == (200, "degraded", "busy")


@pytest.mark.parametrize(("path", "kind"), [("/api/absent", "application/json"), ("/absent", "text/html")])
def test_an_error_is_json_under_api_and_a_page_elsewhere_both_with_the_request_id(client, path, kind):
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (404, kind)
    assert answer.headers["X-Request-ID"] in answer.text


def test_an_error_in_json_has_one_shape(client):
    answer = client.put("/api/items")
    assert answer.json["error"].keys() == {"status", "message", "request_id"}
    assert answer.json["error"]["status"] == answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/api/broken", "/broken"])
def test_a_bug_is_logged_with_the_request_id_and_never_shown(make_app, path, caplog):
    app = make_app(DEBUG="1", LOG_LEVEL="error")
    app.add_url_rule("/api/broken", view_func=lambda: 1 / 0, endpoint="a")
    app.add_url_rule("/broken", view_func=lambda: 1 / 0, endpoint="b")
    answer = app.test_client().get(path)
    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text
    assert "Traceback" not in answer.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("path", ["/api/items", "/items"])
def test_without_a_database_a_request_that_needs_it_is_503_and_says_when_to_retry(make_app, path):
    answer = make_app(DATABASE_URL=NOWHERE).test_client().get(path)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"


def test_a_forged_forwarded_header_is_ignored_where_no_proxy_is_in_front(client):
    forged = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "gopher"}
    page = client.get("/", headers=forged | {"X-Request-ID": ID})
    for value in (*forged.values(), ID):
        assert value not in page.text


def test_one_proxy_is_believed_and_what_a_client_sent_it_is_not(make_app):
    client = make_app(PROXY_HOPS="1").test_client()
    forwarded = {
        "X-Forwarded-For": "6.6.6.6, 192.0.2.7",
        "X-Forwarded-Host": "example.test",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/forged",
        "X-Request-ID": ID,
    }
    answer = client.get("/", headers=forwarded)
    assert "192.0.2.7" in answer.text
    assert "6.6.6.6" not in answer.text
    assert "/forged" not in answer.text
    assert answer.headers["X-Request-ID"] == ID
    created = client.post("/api/items", json={"name": "one"}, headers=forwarded)
    assert created.headers["Location"] == f"https://example.test/api/items/{created.json['id']}"


@pytest.mark.parametrize("forged", ["", "short", "x" * 32, "<script>alert(1)</script>", f"{ID}%0d%0aforged", "a" * 65])
def test_what_is_no_request_id_is_replaced(make_app, forged):
    given = make_app(PROXY_HOPS="1").test_client().get("/health/live", headers={"X-Request-ID": forged})
    assert re.fullmatch("[0-9a-f]{32}", given.headers["X-Request-ID"])


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {"Origin": "https://localhost"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "http://localhost:443"},
        {"Origin": "//localhost"},
        {"Origin": "http://["},
        {"Origin": "http://localhost]"},
    ],
)
def test_another_site_cannot_write_with_a_visitors_browser(client, headers):
    assert client.post("/items", data={"name": "forged"}, headers=headers).status_code == 403
    assert client.post("/api/items", json={"name": "forged"}, headers=headers).status_code == 403
    assert client.get("/api/items", headers=headers).json["total"] == 0


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}, {}])
def test_the_site_itself_and_programs_can_write(client, headers):
    assert client.post("/items", data={"name": "own"}, headers=headers).status_code == 303


@pytest.mark.parametrize(
    ("proto", "host", "origin", "status"),
    [
        ("https", "example.test", "https://example.test", 303),
        ("https", "example.test", "https://example.test:443", 303),
        ("https", "example.test:8443", "https://example.test:8443", 303),
        ("http", "localhost:8080", "http://localhost:8080", 303),
        ("https", "xn--bcher-kva.test", "https://xn--bcher-kva.test", 303),
        ("https", "example.test", "http://example.test", 403),
        ("https", "example.test", "https://example.test:80", 403),
        ("https", "example.test", "https://example.test.evil.test", 403),
        ("https", "example.test:8443", "https://example.test", 403),
    ],
)
def test_an_origin_is_scheme_host_and_port_as_the_visitor_sees_them(make_app, proto, host, origin, status):
    client = make_app(PROXY_HOPS="1").test_client()
    headers = {"X-Forwarded-Proto": proto, "X-Forwarded-Host": host, "Origin": origin}
    assert client.post("/items", data={"name": "x"}, headers=headers).status_code == status


@pytest.mark.parametrize(("host", "status"), [("a.test", 200), ("b.test:1", 200), ("x.b.test", 200), ("c.test", 400)])
@pytest.mark.parametrize("path", ["/", "/api/items", "/health"])
def test_only_trusted_hosts_are_answered(make_app, path, host, status):
    """A page would build its addresses from the host: the refusal must not, or it is a 500."""
    client = make_app(TRUSTED_HOSTS="a.test, .b.test").test_client()
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == status
    assert answer.headers["X-Request-ID"]
    assert status == 200 or answer.is_json == path.startswith("/api")


@pytest.mark.parametrize("path", ["/", "/api/items", "/api/jobs", "/absent"])
@pytest.mark.parametrize(
    "odd",
    [{"QUERY_STRING": "page=\xff"}, {"QUERY_STRING": "\xe9"}, {"HTTP_HOST": "a" * 64}, {"HTTP_HOST": "[:.:]"}],
    ids=["query", "name", "label", "IPv6"],
)
def test_an_address_that_cannot_be_read_is_a_bad_request(app, path, odd):
    _, status, headers = run_wsgi_app(app, create_environ(path) | odd)
    assert status == "400 BAD REQUEST"
    assert headers["X-Request-ID"]
    assert ("json" in headers["Content-Type"]) == path.startswith("/api")


def test_a_refusal_stands_where_no_address_can_be_built(app):
    """Two faults at once: another site's, and a host that no page can be built for."""
    odd = {"HTTP_HOST": "a" * 64, "HTTP_ORIGIN": "https://evil.test"}
    _, status, _ = run_wsgi_app(app, create_environ("/items", method="POST") | odd)
    assert status == "403 FORBIDDEN"


def test_force_https_redirects_all_but_the_health_checks(make_app):
    client = make_app(FORCE_HTTPS="1", PROXY_HOPS="1").test_client()
    answer = client.post("/items?a=1", data={"name": "x"})
    assert (answer.status_code, answer.headers["Location"]) == (308, "https://localhost/items?a=1")
    assert client.get("/", headers={"X-Forwarded-Proto": "https"}).status_code == 200
    assert client.get("/health").status_code == client.get("/health/live").status_code == 200


def test_flask_cors_is_not_even_loaded_where_it_is_off():
    code = "import sys, app; app.create_app(); assert 'flask_cors' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], env={"APP_ENV": "Test"}, check=True, timeout=120)


def test_a_named_origin_may_write_to_the_api_and_only_there(make_app):
    client = make_app(CORS_ORIGINS="https://a.test").test_client()
    headers = {"Origin": "https://a.test", "Sec-Fetch-Site": "cross-site"}
    assert client.post("/api/items", json={"name": "x"}, headers=headers).status_code != 403
    assert client.post("/items", data={"name": "x"}, headers=headers).status_code == 403
    client.set_cookie("session", "a visitor's")
    assert client.post("/api/items", json={"name": "x"}, headers=headers).status_code == 403
