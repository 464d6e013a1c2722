"""How often one address may ask, and what it is told when that was too often."""

import http.client
import json
from contextlib import ExitStack
from select import select

import pytest

from tests.stack.conftest import DOMAIN, nginx_with
from tests.stack.edge.test_maintenance import maintenance
from tests.wait import until

PAGE_BURST, LOGIN_BURST = 101, 6  # nginx/http/rate-limits.conf.template: the first, and its burst
LOGINS = ["/enter", "/join", "/api/enter"]  # tests/probe/nginx/login-addresses.conf


def statuses(site, number, path="/static/style.css", method="GET", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return [site.request(method, path, headers=headers).status for _ in range(number)]


def test_whoever_asks_too_often_is_told_so_in_his_own_format_and_when_to_try_again(prod):
    with nginx_with(prod, RATE_LIMIT="1r/m"):
        assert statuses(prod.site, PAGE_BURST) == [200] * PAGE_BURST, "a page with all its files"
        for path in ("/", "/static/style.css"):
            page = prod.site.get(path)
            assert page.status == 429
            assert page.headers["Content-Type"] == "text/html"
            assert "Too many requests" in page.text
            assert page.headers["X-Request-ID"] in page.text
        api = prod.site.get("/api/items")
        assert (api.status, api.json["error"]["status"]) == (429, 429)
        assert api.json["error"]["request_id"] == api.headers["X-Request-ID"]
        for answer in (page, api):
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.headers.get_all("Cache-Control") == ["no-store"]
            assert len(answer.headers.get_all("Content-Security-Policy")) == 1
        request_id = api.headers["X-Request-ID"]
        (line,) = until(lambda: [it for it in prod.logs("nginx").splitlines() if request_id in it])
        assert json.loads(line)["upstream"] == "", "the application is not asked"


def test_who_is_refused_already_and_asks_too_often_is_told_so_in_his_own_format_too(prod):
    with maintenance(prod), nginx_with(prod, RATE_LIMIT="1r/m"):
        assert statuses(prod.site, PAGE_BURST, "/api/items") == [503] * PAGE_BURST
        api, page = prod.site.get("/api/items"), prod.site.get("/")
        assert (api.status, api.json["error"]["status"], page.status) == (429, 429, 429)
        assert "Too many requests" in page.text
        assert api.headers["Retry-After"] == page.headers["Retry-After"] == "10"


def test_the_limit_is_a_rate_and_passes_by_itself(prod):
    with nginx_with(prod, RATE_LIMIT="1r/s"):
        until(lambda: 429 in statuses(prod.site, 20, "/static/style.css"))
        until(lambda: prod.site.get("/static/style.css").status == 200)


def test_the_default_lets_a_page_with_all_its_files_pass_and_not_two_hundred(prod):
    with nginx_with(prod, RATE_LIMIT="", LOGIN_RATE_LIMIT=""):
        assert set(statuses(prod.site, 50)) == {200}
        environment = prod.inspect("nginx")["Config"]["Env"]
        assert {"RATE_LIMIT=20r/s", "LOGIN_RATE_LIMIT=10r/m"} <= set(environment)


def test_who_guesses_passwords_is_stopped_early_whichever_door_he_tries(prod):
    with nginx_with(prod, LOGIN_RATE_LIMIT="1r/m"):
        tried = [prod.site.request("POST", path).status for path in LOGINS * 2]
        assert 429 not in tried
        for path in [*LOGINS, "//enter", "/%65nter", "/./enter", "/enter?next=/"]:
            assert prod.site.request("POST", path).status == 429, path
        assert prod.site.request("POST", "/api/enter").json["error"]["status"] == 429
        assert int(prod.site.request("POST", "/enter").headers["Retry-After"]) > 0
        # Nothing else is counted with them.
        assert 429 not in statuses(prod.site, LOGIN_BURST, "/enter")
        assert 429 not in statuses(prod.site, LOGIN_BURST, "/api/items", "POST")


def closed(connection):
    connection.settimeout(2)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_one_address_holds_so_many_connections_and_no_more(prod):
    """Before it has asked for anything, too; they are free again when it closes them."""
    with nginx_with(prod, CONNECTION_LIMIT="3"), ExitStack() as stack:
        held = [stack.enter_context(prod.http.connect()) for _ in range(4)]
        until(lambda: len(select(held, [], [], 0)[0]) == 1, within=10)
        with pytest.raises((OSError, http.client.HTTPException)):
            prod.site.get("/")
        prod.exec("nginx", "curl", "--fail", "--silent", "http://127.0.0.1:8080/health/live")
        stack.close()
        until(lambda: prod.site.get("/").status == 200)


def test_the_connections_of_a_trusted_proxy_are_its_clients_whose_requests_are_counted(prod):
    """And a request is counted until its answer has been taken: these never end."""

    def start(client):
        connection = stack.enter_context(prod.site.connect())
        head = f"Host: {DOMAIN}\r\nX-Forwarded-For: {client}\r\nContent-Length: 9"
        connection.sendall(f"POST /api/items HTTP/1.1\r\n{head}\r\n\r\n".encode())
        return connection

    networks = "172.16.0.0/12,192.168.0.0/16,10.0.0.0/8"
    with nginx_with(prod, CONNECTION_LIMIT="3", TRUSTED_PROXIES=networks), ExitStack() as stack:
        waiting = [start("203.0.113.1") for _ in range(3)]
        assert not any(closed(connection) for connection in waiting)
        assert start("203.0.113.1").recv(100).startswith(b"HTTP/1.1 429 ")
        assert prod.site.get("/", headers={"X-Forwarded-For": "203.0.113.2"}).status == 200


@pytest.mark.parametrize("size", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_so_many_bodies_may_be_large_at_once_and_small_ones_pass_beside_them(prod, size):
    """They wait in files on nginx's volume. One that does not say how large it will be counts as large."""

    def start():
        connection = stack.enter_context(prod.site.connect())
        connection.sendall(f"POST /api/items HTTP/1.1\r\nHost: {DOMAIN}\r\n{size}\r\n\r\n".encode())
        return connection

    def refused():
        connection = start()
        connection.settimeout(2)
        return connection.recv(100).startswith(b"HTTP/1.1 429 ")

    with ExitStack() as stack:
        waiting = [start() for _ in range(64)]
        until(refused)
        assert not closed(waiting[-1])
        assert prod.site.post_json("/api/items", {"name": "small"}).status == 201


@pytest.mark.parametrize("trusted", ["172.16.0.0/12,192.168.0.0/16,10.0.0.0/8", ""])
def test_an_address_is_the_client_s_behind_a_trusted_proxy_and_never_a_claim(prod, trusted):
    with nginx_with(prod, LOGIN_RATE_LIMIT="1r/m", TRUSTED_PROXIES=trusted):
        one = statuses(prod.site, LOGIN_BURST + 1, "/enter", "POST", X_Forwarded_For="6.6.6.6, 203.0.113.1")
        two = statuses(prod.site, LOGIN_BURST, "/enter", "POST", X_Forwarded_For="6.6.6.6, 203.0.113.2")
    assert one.index(429) == LOGIN_BURST
    assert (429 in two) == (trusted == "")
