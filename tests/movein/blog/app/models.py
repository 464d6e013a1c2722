from datetime import UTC, datetime

import redis
import rq
import sqlalchemy as sa
import sqlalchemy.orm as so
from flask import current_app
from flask_login import UserMixin
from werkzeug.security import check_password_hash, generate_password_hash

from app import db, login


class User(UserMixin, db.Model):
    id: so.Mapped[int] = so.mapped_column(primary_key=True)
    username: so.Mapped[str] = so.mapped_column(sa.String(64), index=True, unique=True)
    email: so.Mapped[str] = so.mapped_column(sa.String(120), index=True, unique=True)
    password_hash: so.Mapped[str | None] = so.mapped_column(sa.String(256))
    last_seen: so.Mapped[datetime | None] = so.mapped_column(default=lambda: datetime.now(UTC).replace(tzinfo=None))

    posts: so.WriteOnlyMapped["Post"] = so.relationship(back_populates="author")
    jobs: so.WriteOnlyMapped["Job"] = so.relationship(back_populates="user")

    def set_password(self, password):
        self.password_hash = generate_password_hash(password)

    def check_password(self, password):
        return check_password_hash(self.password_hash, password)

    def launch_task(self, name, description):
        rq_job = current_app.task_queue.enqueue(f"app.tasks.{name}", self.id)
        job = Job(id=rq_job.id, name=name, description=description, user=self)
        db.session.add(job)
        return job


@login.user_loader
def load_user(id):
    return db.session.get(User, int(id))


class Post(db.Model):
    id: so.Mapped[int] = so.mapped_column(primary_key=True)
    body: so.Mapped[str] = so.mapped_column(sa.String(140))
    timestamp: so.Mapped[datetime] = so.mapped_column(
        index=True, default=lambda: datetime.now(UTC).replace(tzinfo=None)
    )
    user_id: so.Mapped[int] = so.mapped_column(sa.ForeignKey(User.id), index=True)

    author: so.Mapped[User] = so.relationship(back_populates="posts")


class Job(db.Model):
    id: so.Mapped[str] = so.mapped_column(sa.String(36), primary_key=True)
    name: so.Mapped[str] = so.mapped_column(sa.String(128), index=True)
    description: so.Mapped[str | None] = so.mapped_column(sa.String(128))
    result: so.Mapped[str | None] = so.mapped_column(sa.Text)
    user_id: so.Mapped[int] = so.mapped_column(sa.ForeignKey(User.id))

    user: so.Mapped[User] = so.relationship(back_populates="jobs")

    def progress(self):
        try:
            rq_job = rq.job.Job.fetch(self.id, connection=current_app.redis)
        except redis.exceptions.RedisError, rq.exceptions.NoSuchJobError:
            return 100
        return rq_job.get_meta().get("progress", 0)
