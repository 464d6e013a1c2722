"""Which container serves: flagstone/live.py, with two that share a folder."""

import os
import socket
import time

import pytest

from flagstone import live


@pytest.fixture
def container(tmp_path, monkeypatch):
    """Makes this process one of the containers; returns the socket that it listens at."""
    listening = {}
    monkeypatch.setattr(live, "FOLDER", tmp_path)
    monkeypatch.setattr(live, "LIVE", tmp_path / "live.sock")

    def be(name, listens=True):
        monkeypatch.setattr(socket, "gethostname", lambda: name)
        if listens and name not in listening:
            listening[name] = socket.socket(socket.AF_UNIX)
            listening[name].bind(str(live.own()))
            listening[name].listen()
        return listening.get(name)

    yield be
    for each in listening.values():
        each.close()


def serving():
    return live.LIVE.readlink().name


def test_the_first_one_takes_the_place(container):
    container("first")
    live.take_if_vacant()
    assert serving() == "first.sock"


def test_a_second_one_waits_until_it_is_told(container):
    container("first")
    live.take_if_vacant()
    container("second")
    live.take_if_vacant()
    assert serving() == "first.sock"
    live.take()
    assert serving() == "second.sock"


def test_one_that_has_stopped_is_followed(container):
    first = container("first")
    live.take_if_vacant()
    container("second")
    first.close()  # a crash: its socket is left behind
    live.take_if_vacant()
    assert serving() == "second.sock"


def test_one_that_has_gone_is_followed(container):
    first = container("first")
    live.take_if_vacant()
    first.close()
    live.own().unlink()
    container("second")
    live.take_if_vacant()
    assert serving() == "second.sock"


def test_one_that_is_busy_is_not_pushed_aside(container):
    first = container("first")
    live.take_if_vacant()
    first.listen(0)
    waiting = []
    for _ in range(3):  # until its queue is full
        waiting.append(socket.socket(socket.AF_UNIX))
        waiting[-1].setblocking(False)
        try:
            waiting[-1].connect(str(live.LIVE))
        except BlockingIOError:
            break
    else:
        pytest.fail("the queue is never full")
    container("second")
    live.take_if_vacant()
    assert serving() == "first.sock"
    for each in waiting:
        each.close()


def test_one_that_does_not_listen_takes_nothing(container):
    container("stopping", listens=False)
    live.take_if_vacant()
    assert not live.LIVE.is_symlink()


def pages():
    return (live.FOLDER / "pages").readlink().name


def test_what_nginx_keeps_is_out_of_date_when_another_one_takes_the_place(container):
    container("first")
    live.take_if_vacant()
    of_first = pages()
    live.take_if_vacant()
    assert pages() == of_first
    container("second")
    live.take()
    assert pages() != of_first


def test_each_time_that_pages_are_forgotten_their_link_leads_elsewhere_and_never_nowhere(container, monkeypatch):
    monkeypatch.setattr(live, "OUTLIVED", 600)
    container("first")
    live.take_if_vacant()
    seen = [pages()]
    for _ in range(3):
        live.forget_pages()
        seen.append(pages())
    assert len({*seen}) == 4
    assert all((live.FOLDER / name).exists() for name in seen), "nginx may be on its way there"
    for name in seen:
        os.utime(live.FOLDER / name, (time.time() - live.OUTLIVED - 1,) * 2)
    live.forget_pages()
    left = {path.name for path in live.FOLDER.glob("pages.*")}
    assert left == {seen[-1], pages()}, "the last one served until now"


def test_where_there_is_no_nginx_or_no_room_a_change_is_made_all_the_same(container, monkeypatch, caplog):
    monkeypatch.setattr(live, "FOLDER", live.FOLDER / "none")
    live.forget_pages()
    live.FOLDER.mkdir()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(live, "lead", full)
    live.forget_pages()
    assert "are shown until they expire: [Errno 28] No space left" in caplog.text
