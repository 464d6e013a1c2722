"""Article views."""

from flask import Blueprint, abort, current_app
from flask_jwt_extended import current_user, jwt_required
from sqlalchemy.exc import IntegrityError
from webargs.flaskparser import use_kwargs

from conduit.exceptions import InvalidUsage
from conduit.extensions import cache, db

from .models import Article
from .serializers import article_schema, articles_schema

blueprint = Blueprint("articles", __name__)


@blueprint.route("/api/articles", methods=("GET",))
@cache.cached(timeout=2)
def get_articles():
    articles = db.session.scalars(db.select(Article).order_by(Article.created_at.desc()).limit(20))
    return articles_schema.dump(articles)


@blueprint.route("/api/articles", methods=("POST",))
@jwt_required()
@use_kwargs(article_schema)
def make_article(title, body):
    article = Article(title, body=body, author=current_user)
    db.session.add(article)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        raise InvalidUsage("This title is taken.") from None
    current_app.logger.info("A new article, %s", article.slug)
    return article_schema.dump(article), 201


@blueprint.route("/api/articles/<slug>", methods=("GET",))
def get_article(slug):
    article = db.session.scalar(db.select(Article).filter_by(slug=slug))
    return article_schema.dump(article or abort(404))
