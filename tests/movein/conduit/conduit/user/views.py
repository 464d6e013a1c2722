"""User views."""

from flask import Blueprint
from flask_jwt_extended import create_access_token, current_user, jwt_required
from sqlalchemy.exc import IntegrityError
from webargs.flaskparser import use_kwargs

from conduit.exceptions import InvalidUsage
from conduit.extensions import db

from .models import User
from .serializers import user_schema

blueprint = Blueprint("user", __name__)


def with_token(user):
    user.token = create_access_token(identity=user, fresh=True)
    return user_schema.dump(user)


@blueprint.route("/api/users", methods=("POST",))
@use_kwargs(user_schema)
def register_user(email, password, username=None):
    user = User(username or email, email, password)
    db.session.add(user)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        raise InvalidUsage("This user already exists.") from None
    return with_token(user), 201


@blueprint.route("/api/users/login", methods=("POST",))
@use_kwargs(user_schema)
def login_user(email, password, **kwargs):
    user = db.session.scalar(db.select(User).filter_by(email=email))
    if user is None or not user.check_password(password):
        raise InvalidUsage("No such user, or another password.", 404)
    return with_token(user)


@blueprint.route("/api/user", methods=("GET",))
@jwt_required()
def get_user():
    return user_schema.dump(current_user)
