import socket

import pytest

from flagstone.config import ConfigError

FORWARDED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "example.test",
    "X-Request-ID": "0123456789abcdef0123456789abcdef",
}


def ask(make_app, address, **environ):
    client = make_app(PROXY_HOPS="1", **environ).test_client()
    return client.get("/", headers=FORWARDED, environ_base={"REMOTE_ADDR": address})


def is_believed(answer):
    return answer.headers["X-Request-ID"] == FORWARDED["X-Request-ID"]


@pytest.fixture
def dns(monkeypatch):
    """Addresses by name, and who was asked for."""
    addresses, asked = {}, []

    def look_up(name, port):
        asked.append(name)
        if name not in addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "for now")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses[name]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return addresses, asked


def test_a_proxy_is_known_by_its_name_and_its_neighbours_are_not_believed(make_app, dns):
    dns[0]["nginx"] = ["10.0.0.2"]
    assert is_believed(ask(make_app, "10.0.0.2", TRUSTED_PROXIES="nginx"))
    neighbour = ask(make_app, "10.0.0.3", TRUSTED_PROXIES="nginx")
    assert not is_believed(neighbour)
    assert "10.0.0.3" in neighbour.text
    assert "203.0.113.9" not in neighbour.text


def test_one_at_a_new_address_is_believed_at_once_and_its_former_one_no_more(make_app, dns):
    addresses, asked = dns
    addresses["nginx"] = ["10.0.0.2"]
    client = make_app(PROXY_HOPS="1", TRUSTED_PROXIES="nginx").test_client()

    def believed(address):
        return is_believed(client.get("/health/live", headers=FORWARDED, environ_base={"REMOTE_ADDR": address}))

    assert believed("10.0.0.2")
    addresses["nginx"] = ["10.0.0.7", "10.0.0.8"]
    assert believed("10.0.0.8")
    assert believed("10.0.0.7")
    assert not believed("10.0.0.2")
    known = len(asked)
    del addresses["nginx"]
    assert believed("10.0.0.7"), "DNS is away"
    client.get("/health/live", environ_base={"REMOTE_ADDR": "10.0.0.3"})
    assert len(asked) == known, "nobody is looked up who is known, or says nothing"


def test_who_comes_by_a_unix_socket_is_believed(make_app):
    """Its file says who may. There is no address then."""
    assert is_believed(ask(make_app, "", TRUSTED_PROXIES="10.0.0.0/8"))


def test_with_no_setting_this_machine_is_believed_and_no_other(make_app):
    assert is_believed(ask(make_app, "127.0.0.1"))
    assert is_believed(ask(make_app, "::1"))
    assert not is_believed(ask(make_app, "172.19.0.2"))


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


@pytest.mark.parametrize("proxy", ["10.0.0.0/64", "10.0.0.1/8", "10.0.0", "http://nginx", "a b"])
def test_what_is_neither_a_name_nor_a_network_is_a_fault_of_the_settings(make_app, proxy):
    with pytest.raises(ConfigError) as caught:
        make_app(TRUSTED_PROXIES=proxy)
    assert "TRUSTED_PROXIES" in caught.value.faults
