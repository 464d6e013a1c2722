"""Accounts: their passwords."""

from argon2 import PasswordHasher

from app.auth import passwords
from app.auth.model import User
from app.extensions import db
from tests.unit.conftest import USER

HASHER = passwords.hasher  # before the tests have a quicker one
NEW = "another one than that"


def test_passwords_are_stored_as_argon2id_of_rfc_9106(app, user):
    with app.app_context():
        assert db.session.get(User, 1).password_hash.startswith("$argon2id$")
    assert (HASHER.memory_cost, HASHER.time_cost, HASHER.parallelism) == (64 * 1024, 3, 4)


def test_a_hash_grows_with_the_parameters_and_sessions_go_on(app, user, monkeypatch):
    monkeypatch.setattr(passwords, "hasher", PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    assert app.test_client().post("/login", data=USER).status_code == 303
    with app.app_context():
        assert ",t=2," in db.session.get(User, 1).password_hash
    assert user.get("/api/whoami").status_code == 200
