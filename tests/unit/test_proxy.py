import pytest

from app.config import ConfigError
from app.proxy import front_network

ROUTES = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth1 000014AC 00000000 0001 0 0 0 0000FFFF 0 0 0
eth0 00000000 010013AC 0003 0 0 0 00000000 0 0 0
eth0 000013AC 00000000 0001 0 0 0 0000FFFF 0 0 0
"""


FORWARDED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "example.test",
    "X-Request-ID": "0123456789abcdef0123456789abcdef",
}


def ask(make_app, address, **environ):
    client = make_app(PROXY_HOPS="1", **environ).test_client()
    return client.get("/", headers=FORWARDED, environ_base={"REMOTE_ADDR": address})


def test_the_network_of_the_default_route_is_the_proxys(tmp_path):
    (tmp_path / "route").write_text(ROUTES)
    assert front_network(tmp_path / "route") == ["172.19.0.0/16"]


def test_no_default_route_means_no_network_is_trusted(tmp_path):
    (tmp_path / "route").write_text(ROUTES.splitlines()[0])
    assert front_network(tmp_path / "route") == []
    assert front_network(tmp_path / "absent") == []


def test_the_proxys_network_is_believed(make_app):
    answer = ask(make_app, "10.1.2.3", TRUSTED_PROXIES="192.0.2.0/24, 10.0.0.0/8")
    assert "203.0.113.9" in answer.text
    assert "example.test" in answer.text
    assert answer.headers["X-Request-ID"] == FORWARDED["X-Request-ID"]


def test_a_container_of_another_network_is_no_proxy(make_app):
    answer = ask(make_app, "172.30.0.7", TRUSTED_PROXIES="10.0.0.0/8")
    assert "172.30.0.7" in answer.text
    assert "203.0.113.9" not in answer.text
    assert "example.test" not in answer.text
    assert answer.headers["X-Request-ID"] != FORWARDED["X-Request-ID"]


def test_a_network_that_is_none_is_a_fault_of_the_settings(make_app):
    with pytest.raises(ConfigError) as caught:
        make_app(TRUSTED_PROXIES="nginx")
    assert "TRUSTED_PROXIES" in caught.value.faults
