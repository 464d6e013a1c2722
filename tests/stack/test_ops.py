"""/ops/ is off until it has a user."""

from tests.unit.test_ops import login


def test_without_a_user_it_is_not_there(prod):
    password = prod.exec("app", "cat", "/run/secrets/ops_password")
    for headers in ({}, login("ops", password), login("", password), login("None", password)):
        assert prod.site.get("/ops/", headers=headers).status == 404
