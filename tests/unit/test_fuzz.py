"""Whatever a client sends is its own fault, never a server error, and leads to no other site.

Here it is about all that comes with a body; app/tests/stack/test_openapi.py makes up bodies that fit a description.
"""

import io
from base64 import urlsafe_b64encode
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import create_environ, run_wsgi_app

HEADERS = """Accept Accept-Encoding Accept-Language Access-Control-Request-Headers Access-Control-Request-Method
Authorization Baggage Cache-Control Content-Encoding Content-Length Content-Type Cookie Expect Forwarded Host If-Match
If-Modified-Since If-None-Match If-Range If-Unmodified-Since Origin Range Referer Sec-Fetch-Site Sentry-Trace
Traceparent Transfer-Encoding User-Agent X-Forwarded-For X-Forwarded-Host X-Forwarded-Prefix X-Forwarded-Proto
X-HTTP-Method-Override X-Request-ID"""
# What parsers stumble over: of addresses, numbers, lists, times, types, credentials and cookies.
WORDS = r"""[ ] : :// // \ % %zz %ff %00 ² é ÿþ " ' , ; = * {} null none cross-site same-origin chunked 100-continue
http://[ https://[::1 http://a] http://é https://a:b https://a:99999 http:/e.test //e.test ////e.test /\e.test
localhost localhost:99999 localhost:x [::1 [::1]:80 [:.:] ::1 a,b 1.2.3.4,[ -1 0 9999999999999999999 1e999 NaN 0x10 1_0
bytes=0- bytes=- bytes=9-0 bytes=²- bytes=0-0,1-1 W/" "a */*;q=nan gzip;q=² en-ÿ;q=1 for="[ session= session="\ =;;=
multipart/form-data multipart/form-data;boundary= multipart/form-data;boundary=ÿ multipart/form-data;boundary=x
application/json application/json;charset=none application/x-www-form-urlencoded;charset=ÿ text/plain;a*0=b"""
ODD = [*WORDS.split(), "", " ", "\t", "\x7f", "9" * 5000, "a" * 4000, "[" * 3000, "Thu, 99 Foo 9999 99:99:99 GMT"]
ODD += ["Thu, 01 Jan 0000 00:00:00 -9999", "Basic", "Basic é", "Basic Og==", "Bearer", "Bearer a.b.c", "Digest a"]
for head in ("[]", '{"kid": [], "alg": "RS256"}', "[" * 4000):  # of a token
    ODD.append(f"Bearer {urlsafe_b64encode(head.encode()).decode().rstrip('=')}.e30.x")
PART = b"--x\r\nContent-Disposition: form-data"
BODIES = [b"", b"{", b"\xff", b"null", b"1" * 5000, b"[" * 100_000, b'{"name": 1e999}', b'{"\\ud800": "\\ud800"}']
BODIES += [b"email=%ff&password=%00", b"--x\r\n", PART + b'; name="\xff"\r\n\r\nx\r\n--x--\r\n']
BODIES += [b'{"title": 1e999}', PART + b"; name=title; filename=a\r\n\r\nx\r\n--x--\r\n"]
BODIES += [PART + b"; name=name; filename*=utf-9''%ff\r\nContent-Type: \xff;\r\n\r\nx\r\n--x--\r\n"]
BODIES += [PART + b'; name=file; filename="../\0"\r\n\r\nx\r\n--x--\r\n', PART + b"\r\nContent-Length: -1\r\n\r\nx"]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "ODD"]


# Where a header is read, if not by each request; and a page, for which addresses are built of the host.
READ_BY = dict.fromkeys(["Content-Type", "Host", "X-Forwarded-Host"], ("POST", "/items"))
READ_BY |= dict.fromkeys(["If-Modified-Since", "If-None-Match", "If-Range", "Range"], ("GET", "/static/style.css"))


def ask(app, method, path, headers, query="", body=b""):
    environ = create_environ(method=method, input_stream=io.BytesIO(body))
    environ |= {"REMOTE_ADDR": "127.0.0.1", "CONTENT_LENGTH": str(len(body)), "PATH_INFO": path, "QUERY_STRING": query}
    for name, value in headers.items():
        name = name.upper().replace("-", "_")
        environ[name if name in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{name}"] = value
    _, status, answered = run_wsgi_app(app, environ)
    assert status < "500", (method, path, headers, query, body)
    if not headers.keys() & {"Host", "X-Forwarded-Host", "X-Forwarded-Proto"}:
        assert urlsplit(answered.get("Location", "")).netloc in ("", "localhost")


SETTINGS = {"PROXY_HOPS": "1", "CORS_ORIGINS": "https://a.test"}


@pytest.fixture
def app(make_app):
    return make_app(STEP_SECONDS="0", **SETTINGS)


@pytest.mark.parametrize("header", HEADERS.split())
def test_no_header_is_a_server_error(app, header):
    for value in ODD:
        ask(app, *READ_BY.get(header, ("POST", "/api/items")), {header: value})


def test_no_request_is_a_server_error_or_leads_to_another_site(app):
    try_many(app, [rule for rule in app.url_map.iter_rules() if not rule.endpoint.startswith("views.")])


def try_many(app, rules, **sent):
    """Requests to all of these routes with all that is odd; and with these headers."""
    texts = st.sampled_from(ODD) | st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"))

    @settings(max_examples=600, derandomize=True, deadline=None, database=None)
    @given(
        rule=st.sampled_from(rules),
        method=st.sampled_from(METHODS),
        values=st.lists(texts, min_size=2, max_size=2),
        query=st.lists(st.tuples(st.sampled_from(["next", "page", "per_page", "é"]), texts), max_size=2),
        headers=st.dictionaries(st.sampled_from(HEADERS.split()), texts, max_size=3),
        body=st.sampled_from(BODIES),
    )
    def combine(rule, method, values, query, headers, body):
        values = iter(values)
        path = "".join(next(values) if parameter else part for parameter, part in rule._trace if part != "|")
        query = "&".join("=".join(pair) for pair in query)
        ask(app, method, path, sent | headers, query, body)

    combine()
