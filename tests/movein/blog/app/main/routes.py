from datetime import UTC, datetime

import sqlalchemy as sa
from flask import current_app, flash, jsonify, redirect, render_template, request, url_for
from flask_login import current_user, login_required

from app import db
from app.main import bp
from app.main.forms import EmptyForm, PostForm
from app.models import Job, Post


@bp.before_app_request
def before_request():
    if current_user.is_authenticated:
        current_user.last_seen = datetime.now(UTC).replace(tzinfo=None)
        db.session.commit()


@bp.route("/", methods=["GET", "POST"])
@bp.route("/index", methods=["GET", "POST"])
@login_required
def index():
    form = PostForm()
    if form.validate_on_submit():
        db.session.add(Post(body=form.post.data, author=current_user))
        db.session.commit()
        flash("Your post is now live!")
        current_app.logger.info("A new post by %s", current_user.username)
        return redirect(url_for("main.index"))
    page = request.args.get("page", 1, type=int)
    query = sa.select(Post).order_by(Post.timestamp.desc())
    posts = db.paginate(query, page=page, per_page=current_app.config["POSTS_PER_PAGE"], error_out=False)
    return render_template("index.html", title="Home", form=form, export=EmptyForm(), posts=posts.items)


@bp.route("/export_posts", methods=["POST"])
@login_required
def export_posts():
    if EmptyForm().validate_on_submit():
        job = current_user.launch_task("export_posts", "Exporting posts...")
        db.session.commit()
        return redirect(url_for("main.export", id=job.id))
    return redirect(url_for("main.index"))


@bp.route("/exports/<id>")
@login_required
def export(id):
    job = db.first_or_404(sa.select(Job).where(Job.id == id, Job.user == current_user))
    return jsonify(progress=job.progress(), result=job.result)


@bp.route("/fail")
def fail():
    raise RuntimeError("as somebody always finds a way")
