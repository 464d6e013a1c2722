"""The application of the bench, as a tutorial would write it: each recipe serves this one, and so does the stack."""

import os

from flask import Flask, render_template, request
from flask_caching import Cache
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

app = Flask(__name__)
app.config |= {
    "SECRET_KEY": os.environ.get("SECRET_KEY", "bench"),
    "SQLALCHEMY_DATABASE_URI": os.environ["DATABASE_URL"],
    "SQLALCHEMY_ENGINE_OPTIONS": {"pool_size": 30, "max_overflow": 0},  # by default ten of 15 are opened anew each time
    "CACHE_TYPE": "RedisCache",
    "CACHE_REDIS_URL": os.environ["REDIS_URL"],
}
db, cache = SQLAlchemy(app), Cache(app)


@app.get("/hello")
def hello():
    return "Hello, World!"


@app.get("/page")
def page():
    """One query, one template."""
    row = db.session.execute(text("SELECT 'a name' AS name, repeat('what is there ', 100) AS what")).one()
    return render_template("page.html", row=row)


@app.get("/public")
def public():
    """The same, for whoever keeps pages."""
    return page(), {"Cache-Control": "public, s-maxage=60"}


@app.get("/list")
@cache.cached(timeout=3600)
def cached():
    return [{"id": number, "name": f"name {number}"} for number in range(50)]


@app.get("/wait")
def wait():
    db.session.execute(text("SELECT pg_sleep(0.1)"))
    return "waited"


@app.post("/upload")
def upload():
    return {"bytes": sum(len(chunk) for chunk in iter(lambda: request.stream.read(65536), b""))}
