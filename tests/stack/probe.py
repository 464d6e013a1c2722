"""An application for the tests only, run with the product's image and gunicorn settings: it waits, and it tells."""

import time
from hashlib import sha256

from flask import jsonify, request
from sqlalchemy import text

from app import create_app
from app.auth.current import current_user
from app.extensions import db

app = create_app()


@app.route("/wait", methods=["GET", "POST"])
def wait():
    db.session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": request.args.get("seconds", type=float)})
    return "waited"


@app.get("/compute")
def compute():
    until = time.monotonic() + request.args.get("seconds", type=float)
    while time.monotonic() < until:
        pass
    return "computed"


@app.get("/sql")
def sql():
    db.session.execute(text(request.args["statement"]))
    return "done"


@app.get("/own-policy")
def own_policy():
    return "framed", {"Content-Security-Policy": "frame-ancestors https://partner.test"}


@app.get("/headers")
def headers():
    return {name.lower(): request.headers.getlist(name) for name in request.headers.keys()}  # noqa: SIM118


@app.before_request
def echo():
    """What arrived, before Flask has read anything into the path; with a validator, and in ranges, as a file is."""
    if "/echo" not in request.path:
        return None
    request.max_content_length = None
    seen = {"address": request.environ["RAW_URI"], "path": request.path, "host": request.host, "method": request.method}
    response = jsonify(seen | {"body": sha256(request.get_data()).hexdigest()})
    response.add_etag()
    return response.make_conditional(request, accept_ranges=True, complete_length=response.content_length)


@app.get("/user")
def user():
    return str(current_user().id)


@app.route("/boom", methods=["GET", "POST"])
def boom():
    """An exception with all in its text that must not be seen."""
    sent = [request.url, request.form, request.get_data(), dict(request.headers)]
    raise RuntimeError(f"boom {db.engine.url.render_as_string(hide_password=False)} {sent}")
