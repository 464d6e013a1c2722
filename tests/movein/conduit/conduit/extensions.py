"""Extensions module."""

from flask_bcrypt import Bcrypt
from flask_caching import Cache
from flask_cors import CORS
from flask_jwt_extended import JWTManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

bcrypt = Bcrypt()
cache = Cache()
cors = CORS()
db = SQLAlchemy()
jwt = JWTManager()
migrate = Migrate()

from conduit.user.models import load_user  # noqa: E402

jwt.user_lookup_loader(load_user)
jwt.user_identity_loader(lambda user: str(user.id))
