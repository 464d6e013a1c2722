import json
import time

import sqlalchemy as sa
from rq import get_current_job

from app import create_app, db
from app.models import Job, Post, User

app = create_app()
app.app_context().push()


def _set_progress(job, progress):
    job.meta["progress"] = progress
    job.save_meta()


def export_posts(user_id):
    try:
        rq_job = get_current_job()
        _set_progress(rq_job, 0)
        user = db.session.get(User, user_id)
        posts = db.session.scalars(user.posts.select().order_by(Post.timestamp)).all()
        data = []
        for number, post in enumerate(posts, start=1):
            data.append({"body": post.body, "timestamp": post.timestamp.isoformat() + "Z"})
            time.sleep(0.1)
            _set_progress(rq_job, 100 * number // len(posts))
        # The row of this job is committed by the request that queued it, perhaps a moment later.
        while not (job := db.session.scalar(sa.select(Job).where(Job.id == rq_job.id))):
            db.session.rollback()
            time.sleep(0.1)
        job.result = json.dumps({"posts": data})
        db.session.commit()
    except Exception:
        app.logger.exception("Unhandled exception")
    finally:
        _set_progress(rq_job, 100)
