"""A view that waits in PostgreSQL; for the tests only, run with the product's image and gunicorn settings."""

from sqlalchemy import text

from app import create_app
from app.extensions import db

app = create_app()


@app.get("/wait")
def wait():
    db.session.execute(text("SELECT pg_sleep(0.2)"))
    return "waited"
