"""The Flask extensions, made here without an app so that any module can import them."""

from flask_caching import Cache
from flask_sqlalchemy import SQLAlchemy

cache = Cache()
db = SQLAlchemy()
