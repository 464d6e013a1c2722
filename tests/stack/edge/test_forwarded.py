"""What the application learns of a client comes from nginx, and from nothing that a client says."""

import socket

import pytest

from tests.wait import until

FORGED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "ftp",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Port": "65432",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Protocol": "ssl",
    "X-Forwarded-Ssl": "on",
    "X-Real-IP": "203.0.113.9",
    "Forwarded": "for=203.0.113.9;proto=ftp;host=evil.test",
}


def own_address(site):
    with socket.create_connection((site.address, site.port)) as connection:
        return connection.getsockname()[0]


def test_the_application_sees_the_client_and_the_public_address(stack):
    page = stack.site.get("/").text
    assert own_address(stack.site) in page
    assert stack.site.host in page
    assert ("https" if stack.site.tls else "http") in page


@pytest.mark.parametrize("header", FORGED)
def test_a_forged_forwarding_header_changes_nothing(stack, header):
    answer = stack.site.get("/", headers={header: FORGED[header]})
    assert answer.status == 200
    assert own_address(stack.site) in answer.text
    assert "evil" not in answer.text
    assert "203.0.113.9" not in answer.text
    assert f"<code>{'https' if stack.site.tls else 'http'}</code>" in answer.text


def test_the_application_is_handed_what_nginx_set_and_nothing_else(prod):
    """Not appended, either: an application that trusts one hop too many would believe the rest."""
    answer = prod.site.get("/headers", headers=FORGED)
    forwarding = {name: values for name, values in answer.json.items() if "forwarded" in name or "real" in name}
    assert forwarding == {
        "x-forwarded-for": [own_address(prod.site)],
        "x-forwarded-proto": ["https"],
        "x-forwarded-host": [prod.site.host],
        "x-real-ip": [own_address(prod.site)],
    }


def test_a_neighbour_in_the_network_of_nginx_is_not_believed(prod):
    ask = "from urllib.request import Request, urlopen; import sys; url, *pairs = sys.argv[1:]; "
    ask += "print(urlopen(Request(url, headers=dict(pair.split('=') for pair in pairs))).read().decode())"
    forged = ["X-Forwarded-For=203.0.113.9", "X-Forwarded-Proto=https", "X-Forwarded-Host=127.0.0.1"]
    page = prod.once("app", "python", "-c", ask, "http://app:8000/", *forged).stdout
    assert "<code>app:8000</code>" in page
    assert "<code>http</code>" in page
    assert "203.0.113.9" not in page


def test_a_recreated_nginx_is_believed(prod):
    prod.compose("up", "--detach", "--wait", "--no-deps", "--force-recreate", "nginx")
    page = until(lambda: (answer := prod.site.get("/")).status == 200 and answer.text)
    assert own_address(prod.site) in page
    assert "<code>https</code>" in page


def test_all_of_them_at_once_change_nothing(stack):
    answer = stack.site.get("/", headers=FORGED)
    assert answer.status == 200
    assert "203.0.113.9" not in answer.text
    assert "evil" not in answer.text


def test_addresses_built_by_flask_keep_scheme_and_host(stack):
    """Location of a new item is absolute; a redirect after a form is relative to it."""
    scheme = "https" if stack.site.tls else "http"
    created = stack.site.post_json("/api/items", {"name": "forged?"}, headers=FORGED)
    assert created.status == 201
    assert created.headers["Location"] == f"{scheme}://{stack.site.host}/api/items/{created.json['id']}"
    form = {"Content-Type": "application/x-www-form-urlencoded", **FORGED}
    answer = stack.site.request("POST", "/items", body="name=a+form", headers=form)
    assert (answer.status, answer.headers["Location"]) == (303, "/items")


def test_addresses_built_by_flask_keep_the_port(dev):
    created = dev.site.post_json("/api/items", {"name": "port"}, host="localhost:8080")
    assert created.headers["Location"].startswith("http://localhost:8080/api/items/")


def test_each_request_has_an_id_of_nginx_s_making(stack):
    answer = stack.site.get("/", headers={"X-Request-ID": "forged"})
    ids = answer.headers.get_all("X-Request-ID")
    assert len(ids) == 1
    assert ids[0] != "forged"
    assert ids[0] in answer.text
    until(lambda: f'"request_id":"{ids[0]}"' in stack.logs("nginx"))


def test_a_host_beside_the_one_in_the_request_line_changes_nothing(stack):
    """RFC 9112, 3.2.2: with an absolute address in the request line, the Host header does not count."""
    scheme = "https" if stack.site.tls else "http"
    head = f"GET {scheme}://{stack.site.host}/ HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"
    assert b"evil.test" not in stack.site.send(head.encode())
