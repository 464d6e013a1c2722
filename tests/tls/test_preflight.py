"""What is waited for before the authority is asked, and what is told at once."""

import importlib.util
import socket
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("preflight", Path("certbot/preflight.py"))
preflight = importlib.util.module_from_spec(spec)
spec.loader.exec_module(preflight)


@pytest.fixture
def pauses(monkeypatch):
    """How long it has slept, which takes no time here."""
    slept = []
    monkeypatch.setattr(preflight.time, "monotonic", lambda: sum(slept))
    monkeypatch.setattr(preflight.time, "sleep", slept.append)
    return slept


def dns_says(monkeypatch, number):
    def answer(*_, **__):
        raise socket.gaierror(number, "from DNS")

    monkeypatch.setattr(preflight.socket, "getaddrinfo", answer)


@pytest.mark.parametrize("number", [socket.EAI_NONAME, socket.EAI_NODATA])
def test_a_name_without_an_address_is_told_at_once(monkeypatch, tmp_path, pauses, number):
    dns_says(monkeypatch, number)
    assert "example.test has no address in DNS" in preflight.problem(["example.test"], tmp_path)
    assert pauses == []


def test_a_resolver_that_does_not_answer_is_asked_again(monkeypatch, tmp_path, pauses):
    dns_says(monkeypatch, socket.EAI_AGAIN)
    assert "example.test has no address in DNS" in preflight.problem(["example.test"], tmp_path)
    assert preflight.PATIENCE < sum(pauses) < preflight.PATIENCE + 2
    assert [*tmp_path.rglob("preflight-*")] == []
