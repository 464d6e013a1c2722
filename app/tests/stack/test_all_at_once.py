"""The attacks of tests/attack, and a crowd that tries passwords, for five minutes: `make test-all`."""

import pytest

from tests.attack.test_all_at_once import CROWD, Attackers, attack
from tests.attack.test_uploads import CONTENT
from tests.stack.test_uploads import form
from tests.wait import until

BODY, HEADERS = form({"title": "With a file"}, "a.png", CONTENT)


class Crowd(Attackers):
    def write(self):
        answer = self.site.post_json("/api/notes", {"title": "a row"})
        if answer.status == 201:
            self.rows.append(answer.json["id"])
        return answer.status

    def upload(self):
        """At first of as many as the user may have, then of ones that are refused when all of it is there."""
        answer = self.site.request("POST", "/api/notes", body=BODY, headers=HEADERS)
        self.files.append((answer.status, answer.json.get("id")))
        return answer.status

    def order(self):
        return self.site.request("POST", "/api/reports").status

    def log_in(self):
        return self.site.post_form("/login", email="nobody@example.test", password="correct horse battery").status


@pytest.mark.long
def test_five_minutes_of_all_attacks_and_logins_at_once_lose_nothing(prod):
    crowd = attack(prod, Crowd, CROWD | {"log_in": 50})
    assert 201 in crowd.statuses["write"] & crowd.statuses["upload"]
    named = "SELECT file_key FROM note WHERE file_key IS NOT NULL"
    until(lambda: {*prod.exec("app", "ls", "/srv/uploads").split()} == {*prod.sql(named).split()})
    for note in [note for status, note in crowd.files if status == 201]:
        answer = prod.site.get(f"/notes/{note}/file", headers={"Range": f"bytes={len(CONTENT) - 8}-"})
        assert (answer.status, len(answer.body)) == (206, 8), note
    assert {str(row) for row in crowd.rows} <= set(prod.sql("SELECT id FROM note").split())
