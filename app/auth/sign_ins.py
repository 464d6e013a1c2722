"""A sign-in: what the cookie of a session and the tokens of a program refer to. It can be ended, a signature cannot."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import String, Uuid
from sqlalchemy.orm import Mapped, contains_eager, mapped_column, relationship

from app.auth.model import User
from flagstone.database import CreatedAt, Time
from flagstone.extensions import db

AT_ONCE = 1000  # of one user, some of whose programs sign in each minute and never out


class SignIn(db.Model):
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    user_id: Mapped[int] = mapped_column(db.ForeignKey("user.id", ondelete="CASCADE"), index=True)
    user: Mapped[User] = relationship()
    epoch: Mapped[int]  # the user's at that time
    refresh_jti: Mapped[str | None] = mapped_column(String(36))  # of the valid refresh token; others are used up
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Time]


def begin(user: User, seconds: int, refresh_jti: str | None = None) -> UUID:
    """Returns its id. `user` as authenticate() has read it: if the password has changed since, it is over at once."""
    now, own = datetime.now(UTC), SignIn.user_id == user.id
    newest = db.select(SignIn.id).where(own).order_by(SignIn.created_at.desc()).limit(AT_ONCE - 1)
    over = (SignIn.expires_at < now) | (SignIn.epoch < user.session_epoch) | SignIn.id.not_in(newest)
    db.session.execute(db.delete(SignIn).where(own, over))
    key, end = uuid4(), now + timedelta(seconds=seconds)
    db.session.add(SignIn(id=key, user_id=user.id, epoch=user.session_epoch, refresh_jti=refresh_jti, expires_at=end))
    db.session.commit()
    return key


def find(key: Any) -> SignIn | None:
    """The one with this id, unless it is over. A single query, as for the user alone."""
    try:
        key = UUID(key)
    except ValueError, TypeError, AttributeError:
        return None
    good = SignIn.expires_at > datetime.now(UTC), SignIn.epoch == User.session_epoch, ~User.disabled
    query = db.select(SignIn).join(SignIn.user).options(contains_eager(SignIn.user))
    return db.session.scalar(query.where(SignIn.id == key, *good))


def rotate(sign_in: SignIn, used: str, new: str) -> bool:
    """False, and its end, where the refresh token `used` was used before. Of two at the same time, one gets that."""
    this = SignIn.id == sign_in.id
    done = db.session.execute(db.update(SignIn).where(this, SignIn.refresh_jti == used).values(refresh_jti=new))
    if not done.rowcount:
        db.session.execute(db.delete(SignIn).where(this))
    db.session.commit()
    return bool(done.rowcount)


def end(sign_in: SignIn) -> None:
    db.session.execute(db.delete(SignIn).where(SignIn.id == sign_in.id))
    db.session.commit()
