"""A view that waits in PostgreSQL; for the tests only, run with the product's image and gunicorn settings."""

from flask import request
from sqlalchemy import text

from app import create_app
from app.extensions import db

app = create_app()


@app.route("/wait", methods=["GET", "POST"])
def wait():
    db.session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": request.args.get("seconds", type=float)})
    return "waited"
