import os

basedir = os.path.abspath(os.path.dirname(__file__))


class Config:
    SECRET_KEY = os.environ.get("SECRET_KEY") or "nobody-will-ever-guess"
    SQLALCHEMY_DATABASE_URI = os.environ.get("DATABASE_URL", "").replace(
        "postgres://", "postgresql://"
    ) or "sqlite:///" + os.path.join(basedir, "blog.db")
    REDIS_URL = os.environ.get("REDIS_URL") or "redis://"
    LOG_TO_STDOUT = os.environ.get("LOG_TO_STDOUT")
    POSTS_PER_PAGE = 25
