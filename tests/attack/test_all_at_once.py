"""All attacks at once, for five minutes: `make test-all`."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException

import pytest

from tests.attack.slow import Crowd, openings
from tests.attack.test_smuggling import send, variants
from tests.attack.test_uploads import BODY, HEADERS, assert_whole, named, stored
from tests.wait import until

pytestmark = pytest.mark.long

SECONDS = 300
KEPT = 500  # files: the disk is to hold out
CROWD = {"write": 4, "upload": 20, "order": 4, "smuggle": 1, "hold": 1}  # at once


class Attackers:
    """Each attack goes on until the time is over, whatever comes back; `statuses` has the answers by attack."""

    def __init__(self, stack):
        self.site, self.end = stack.site, time.monotonic() + SECONDS
        self.statuses, self.rows, self.files = {}, [], []
        self.requests, self.kinds = itertools.cycle(variants()), itertools.cycle(openings(self.site.host))

    def goes_on(self):
        return time.monotonic() < self.end

    def again(self, attack):
        seen = self.statuses.setdefault(attack.__name__, set())
        while self.goes_on():
            with suppress(OSError, HTTPException):
                seen.add(attack())

    def write(self):
        answer = self.site.post_json("/api/items", {"name": "a row"})
        if answer.status == 201:
            self.rows.append(answer.json["id"])
        return answer.status

    def upload(self):
        answer = self.site.request("POST", "/api/items", body=BODY, headers=HEADERS)
        if len(self.files) < KEPT:
            self.files.append((answer.status, answer.json.get("id")))
        elif answer.status == 201:
            self.site.request("DELETE", f"/api/items/{answer.json['id']}")
        return answer.status

    def order(self):
        return self.site.request("POST", "/api/jobs").status

    def smuggle(self):
        send(self.site, next(self.requests))

    def hold(self):
        with Crowd(self.site) as crowd:
            crowd.tries(500, *next(self.kinds))


def attack(stack, kind, crowd):
    """By a crowd of that kind, of which somebody else notices nothing; returns what it has seen."""
    with stack.watched(), stack.visitor("/health"), ThreadPoolExecutor(100) as pool:
        attackers = kind(stack)
        attacks = [getattr(attackers, name) for name, number in crowd.items() for _ in range(number)]
        list(pool.map(attackers.again, attacks))
    print(attackers.statuses, len(attackers.rows), len(attackers.files))  # `pytest -s` shows it
    return attackers


def test_five_minutes_of_all_attacks_at_once_lose_nothing(attacked):
    attackers = attack(attacked, Attackers, CROWD)
    assert 201 in attackers.statuses["write"] & attackers.statuses["upload"]
    until(lambda: stored(attacked) == named(attacked))
    assert_whole(attacked, attackers.files)
    assert {str(row) for row in attackers.rows} <= set(attacked.sql("SELECT id FROM probe_item").split())
