"""When nginx is told to refuse, and when no longer: flagstone/busy.py."""

import os

import pytest

from flagstone import busy


class Clock:
    def __init__(self):
        self.now = 1_800_000_000.0

    def time(self):
        return self.now


@pytest.fixture
def clock(monkeypatch, tmp_path):
    monkeypatch.setattr(busy, "FILE", tmp_path / "busy")
    clock = Clock()
    monkeypatch.setattr(busy, "time", clock)
    return clock


def closed():
    return busy.FILE.exists()


def begin(clock, gate, times, waited, pause=0.01):
    """So many requests, one after another, that have waited for that long."""
    for _ in range(times):
        gate.begin(clock.now - waited)
        clock.now += pause


def crowd(clock):
    gate = busy.Gate()
    begin(clock, gate, 50, waited=2)
    assert closed()
    return gate


def test_a_crowd_closes_and_when_the_last_of_it_is_begun_opens(clock, caplog):
    gate = crowd(clock)
    at = gate.closed_at
    while clock.now - 2 < at - busy.LAST:
        assert closed()
        begin(clock, gate, 1, waited=2)
    begin(clock, gate, 1, waited=2)
    assert not closed()
    assert len(caplog.messages) == 1
    crowd(clock)


def test_a_site_at_work_and_one_request_that_holds_up_others_close_nothing(clock):
    gate = busy.Gate()
    begin(clock, gate, 200, waited=busy.LATE - 0.1)
    clock.now += 10  # computed by one
    for waited in (10, 8, 6, 4, 2, 0.1):
        begin(clock, gate, 3, waited)
    for _ in range(100):
        begin(clock, gate, 3, waited=2)
        begin(clock, gate, 1, waited=0.1)
    assert not closed()


def test_a_few_on_a_machine_that_has_no_time_close_nothing(clock):
    gate = busy.Gate()
    begin(clock, gate, 1, waited=0)
    begin(clock, gate, 100, waited=1, pause=1 / (busy.CROWD - 1))
    assert not closed()


def test_a_crowd_for_a_page_that_takes_long_to_compute_closes(clock):
    gate = busy.Gate()
    begin(clock, gate, 2 * busy.CROWD, waited=5, pause=5 / (busy.CROWD + 1))
    assert closed()


def test_one_that_is_late_now_and_then_closes_nothing(clock):
    gate = busy.Gate()
    for _ in range(5):
        begin(clock, gate, 1, waited=2, pause=60)
        begin(clock, gate, 1, waited=0)
    assert not closed()


def test_it_opens_when_nobody_waits_any_more(clock):
    gate = crowd(clock)
    gate.look()
    assert closed()
    clock.now += 1
    gate.look()
    assert not closed()


def test_the_file_of_a_process_that_has_ended_goes(clock):
    crowd(clock)
    other = busy.Gate()
    os.utime(busy.FILE, (clock.now, clock.now))
    clock.now += 1
    other.look()
    assert closed(), "its owner may live"
    clock.now += busy.FORGOTTEN
    other.look()
    assert not closed()
    other.look()


def test_the_file_of_a_process_that_lives_stays_in_spite_of_others(clock, monkeypatch):
    gate, other, utime = crowd(clock), busy.Gate(), os.utime
    monkeypatch.setattr(os, "utime", lambda file: utime(file, (clock.now, clock.now)))
    for _ in range(10):
        clock.now += 1
        begin(clock, gate, 1, waited=clock.now - gate.closed_at + 1)
        gate.look()
        other.look()
        assert closed()


def test_no_room_for_the_file_loses_no_request(clock, monkeypatch):
    monkeypatch.setattr(busy, "FILE", busy.FILE / "in" / "no-folder")
    gate = busy.Gate()
    begin(clock, gate, 500, waited=2)
    gate.look()
