"""The Flask extensions, made here without an app so that any module can import them."""

from enum import Enum

import sqlalchemy
from flask_caching import Cache
from flask_sqlalchemy import SQLAlchemy

cache = Cache()
db = SQLAlchemy()
# Mapped[SomeEnum] is text in the database. A type of its own would outlive a downgrade, so that the next upgrade fails,
# and never lose a value.
db.Model.registry.update_type_annotation_map({Enum: sqlalchemy.Enum(Enum, native_enum=False, length=50)})
