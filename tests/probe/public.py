"""Pages for all, which tell what they were asked, how often, and whatever is one person's where the query wants it."""

import time
from functools import cache

from flask import Blueprint, Response, current_app, g, jsonify, render_template, request, session

from flagstone.cache import make_client, redis_client
from flagstone.edge import forget_pages, public_for
from flagstone.log_context import request_id

from .items import get_item

blueprint = Blueprint("public", __name__, url_prefix="/public")

HEADERS = ("Cache-Control", "Expires", "Set-Cookie", "Vary", "X-Accel-Expires", "X-CSP-Nonce")


def answered():
    """How often the application has answered this address, with this query."""
    client = patient_client()
    return client.incr(f"probe:{request.environ['RAW_URI']}") if client else 0


@cache
def patient_client():
    """One that waits for a busy machine and never asks twice: it counts."""
    return make_client({**current_app.config, "REDIS_TIMEOUT": 20}, retries=0)


@blueprint.route("/minute", methods=["GET", "POST"])
@public_for(60)
def minute():
    return told()


@blueprint.get("/moment")
@public_for(3)
def moment():
    return told()


def told():
    asked = request.args
    if "seconds" in asked:
        time.sleep(float(asked["seconds"]))
    if "fails" in asked and redis_client().exists("probe:fails"):
        raise RuntimeError("as a test wants it")
    if "session" in asked:
        session["visits"] = session.get("visits", 0) + 1
    if "user" in asked:
        g.user = get_item(int(asked["user"]))
    if "nonce" in asked:
        return render_template("nonce.html")
    seen = {"answered": answered(), "query": request.query_string.decode(), "host": request.host, "url": request.url}
    seen |= {"address": request.remote_addr, "body": request.get_data(as_text=True), "session": dict(session)}
    seen |= {"headers": {name: value for name, value in request.headers.items() if name != "X-Request-Id"}}
    if "id" in asked:
        seen["id"] = request_id()
    answer = jsonify(seen)
    answer.status_code = asked.get("status", 200, type=int)
    if "cookie" in asked:
        answer.set_cookie("visitor", "first")
    for name in HEADERS:
        if name in asked:
            answer.headers[name] = asked[name]
    return answer


@blueprint.get("/by-hand")
@blueprint.get("/-/not-named", endpoint="not_named")
def by_hand():
    """Headers as a view may set them that knows nothing of `public_for`."""
    headers = [(name, request.args[name]) for name in HEADERS if name in request.args]
    return Response(str(answered()), request.args.get("status", 200, type=int), headers)


@blueprint.get("/undecorated")
def undecorated():
    return str(answered())


@blueprint.post("/forget")
def forget():
    forget_pages()
    return "", 204
