"""All attacks at once, for five minutes: `make test t="-m long"`."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException

import pytest

from tests.attack.slow import Crowd, openings
from tests.attack.test_smuggling import send, variants
from tests.attack.test_uploads import BODY, HEADERS, assert_whole, named, stored
from tests.stack.test_background import sql
from tests.wait import until

SECONDS = 300
WRITERS, LOGINS, UPLOADS, ORDERS = 4, 50, 20, 4  # at once


class Attackers:
    """Each attack goes on until the time is over, whatever comes back; `statuses` has the answers by attack."""

    def __init__(self, stack):
        self.site, self.end = stack.site, time.monotonic() + SECONDS
        self.statuses, self.notes, self.files = {}, [], []
        self.requests, self.kinds = itertools.cycle(variants()), itertools.cycle(openings(self.site.host))

    def goes_on(self):
        return time.monotonic() < self.end

    def again(self, attack):
        seen = self.statuses.setdefault(attack.__name__, set())
        while self.goes_on():
            with suppress(OSError, HTTPException):
                seen.add(attack())

    def write(self):
        answer = self.site.post_json("/api/notes", {"title": "a row"})
        if answer.status == 201:
            self.notes.append(answer.json["id"])
        return answer.status

    def upload(self):
        """At first of as many as the user may have, then of ones that are refused when all of it is there."""
        answer = self.site.request("POST", "/api/notes", body=BODY, headers=HEADERS)
        self.files.append((answer.status, answer.json.get("id")))
        return answer.status

    def log_in(self):
        return self.site.post_form("/login", email="nobody@example.test", password="correct horse battery").status

    def order(self):
        return self.site.request("POST", "/api/reports").status

    def smuggle(self):
        send(self.site, next(self.requests))

    def hold(self):
        with Crowd(self.site) as crowd:
            crowd.tries(500, *next(self.kinds))


@pytest.mark.long
def test_five_minutes_of_all_attacks_at_once_lose_nothing(attacked):
    crowd = [
        ("write", WRITERS),
        ("log_in", LOGINS),
        ("upload", UPLOADS),
        ("order", ORDERS),
        ("smuggle", 1),
        ("hold", 1),
    ]
    with attacked.watched(), attacked.visitor("/health"), ThreadPoolExecutor(100) as pool:
        attackers = Attackers(attacked)
        attacks = [getattr(attackers, name) for name, number in crowd for _ in range(number)]
        list(pool.map(attackers.again, attacks))
    print(attackers.statuses, len(attackers.notes), len(attackers.files))  # `pytest -s` shows it
    assert 201 in attackers.statuses["write"] & attackers.statuses["upload"]
    until(lambda: stored(attacked) == named(attacked), within=60)
    assert_whole(attacked, attackers.files)
    assert {str(note) for note in attackers.notes} <= set(sql(attacked, "SELECT id FROM note").split())
