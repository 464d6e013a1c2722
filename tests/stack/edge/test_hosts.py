"""TRUSTED_HOSTS and FORCE_HTTPS: what holds when somebody gets past nginx, or there is none."""

import json

import pytest

from tests.engine import exec_in
from tests.shell import checked
from tests.stack.conftest import DOMAIN

ASK = """
import http.client, json, sys
method, path, host = sys.argv[1:]
connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=10)
connection.request(method, path, headers={"Host": host})
answer = connection.getresponse()
print(json.dumps([answer.status, answer.headers["Location"], answer.read().decode()]))
"""


def ask_within(container, path, host=DOMAIN, method="GET"):
    """Of the application itself, from its own container: status, Location, body."""
    return json.loads(checked(exec_in(container, "python", "-c", ASK, method, path, host)).stdout)


@pytest.mark.parametrize("host", [DOMAIN, f"{DOMAIN}:8443", "127.0.0.1:8000", "app:8000"])
def test_the_application_answers_to_its_domain_and_to_callers_from_inside(prod, host):
    assert ask_within(prod.container("app"), "/", host)[0] == 200


def test_names_of_your_own_do_not_lock_the_health_check_out(prod):
    settings = json.loads(prod.compose("config", "--format", "json", TRUSTED_HOSTS=".example.net"))
    assert settings["services"]["app"]["environment"]["TRUSTED_HOSTS"] == ".example.net,127.0.0.1,app"


@pytest.mark.parametrize("host", ["evil.test", f"www.{DOMAIN}", f"{DOMAIN}.evil.test", "10.0.0.1", "localhost"])
def test_any_other_host_is_refused_in_the_client_s_format(prod, host):
    status, _, body = ask_within(prod.container("app"), "/", host)
    assert status == 400
    assert "Traceback" not in body
    status, _, body = ask_within(prod.container("app"), "/api/items", host)
    assert (status, json.loads(body)["error"]["status"]) == (400, 400)


def test_force_https_redirects_what_came_by_http_and_nothing_else(prod):
    with prod.in_place(FORCE_HTTPS="true") as site:
        assert prod.site.get("/").status == 200, "by https through nginx"
        assert ask_within(site.address, "/metrics")[0] == 200, "Prometheus comes from inside, too"
        assert ask_within(site.address, "/items?page=2")[:2] == [308, f"https://{DOMAIN}/items?page=2"]
        assert ask_within(site.address, "/api/items", method="POST")[:2] == [308, f"https://{DOMAIN}/api/items"]
        assert ask_within(site.address, "/health/live")[0] == 200
        assert ask_within(site.address, "/health")[0] == 200
