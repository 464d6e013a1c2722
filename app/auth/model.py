"""A user, and the password that only the user knows."""

from sqlalchemy import ColumnElement, String, false
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from app.auth import address, passwords
from flagstone.database import CreatedAt, Id
from flagstone.errors import InvalidInput
from flagstone.extensions import db
from flagstone.validation import read_fields

# Lengths. A password: NIST SP 800-63B has no rules for its characters, and a bound so that hashing has one, too.
LIMITS = {"email": (3, address.LENGTH), "password": (12, 256)}
# An address is measured in its normal form.
ADDRESS = (1, 1000, address.normal)
# Of an account that exists, perhaps since there were other rules.
ASKED = {"email": (1, 1000), "password": (1, LIMITS["password"][1])}


class User(db.Model):
    id: Mapped[Id]
    email: Mapped[str] = mapped_column(String(address.LENGTH), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    session_epoch: Mapped[int] = mapped_column(default=0, server_default="0")  # a sign-in of an earlier one is over
    disabled: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[CreatedAt]


def find_user(email: str) -> User | None:
    return db.session.scalar(db.select(User).where(User.email.in_(address.stored_forms(email))).order_by(User.id))


def create_user(data: object) -> User:
    """From `email` and `password`. InvalidInput says what is wrong with them."""
    fields = read_fields(data, {"email": ADDRESS, "password": LIMITS["password"]})
    passwords.refuse_easy(fields["password"], fields["email"])
    user = User(email=fields["email"], password_hash=passwords.make_hash(fields["password"]))
    try:
        if find_user(user.email):
            raise ValueError
        db.session.add(user)
        db.session.commit()
    except ValueError, IntegrityError:
        db.session.rollback()
        raise InvalidInput({"email": "this address has an account already"}) from None
    return user


def authenticate(data: object) -> User | None:
    """The user with this `email` and `password`, as read before the password was checked."""
    fields = read_fields(data, ASKED)
    user = find_user(fields["email"])
    if not passwords.matches(user and user.password_hash, fields["password"]) or user is None or user.disabled:
        return None
    if passwords.hasher.check_needs_rehash(user.password_hash):  # the parameters have grown since
        same = User.password_hash == user.password_hash
        update(user, same, password_hash=passwords.make_hash(fields["password"]))
    return user


def change_password(user: User, password: str) -> User | None:
    """Ends all sessions and tokens. None: somebody was faster, and nothing has changed."""
    passwords.refuse_easy(password, user.email)
    return sign_out_everywhere(
        user, User.session_epoch == user.session_epoch, password_hash=passwords.make_hash(password)
    )


def sign_out_everywhere(user: User, *conditions: ColumnElement[bool], **values: object) -> User | None:
    return update(user, *conditions, session_epoch=User.session_epoch + 1, **values)


def update(user: User, *conditions: ColumnElement[bool], **values: object) -> User | None:
    """The user as it is now, if the conditions held."""
    query = db.update(User).where(User.id == user.id, *conditions).values(values).returning(User)
    changed = db.session.scalar(query)
    db.session.commit()
    return changed
