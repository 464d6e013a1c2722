"""Views that wait, compute, fail, stream and tell what they were asked."""

import base64
import hashlib
import time

from flask import Blueprint, Response, g, jsonify, render_template, request
from sqlalchemy import text

from flagstone.extensions import db

from .items import get_item

blueprint = Blueprint("views", __name__)


@blueprint.get("/")
def index():
    """Who asks, for which address: as the application sees it."""
    return render_template("index.html")


@blueprint.route("/wait", methods=["GET", "POST"])
def wait():
    db.session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": request.args.get("seconds", type=float)})
    return "waited"


@blueprint.get("/compute")
def compute():
    until = time.monotonic() + request.args.get("seconds", type=float)
    while time.monotonic() < until:
        pass
    return "computed"


@blueprint.get("/sql")
def sql():
    db.session.execute(text(request.args["statement"]))
    return "done"


@blueprint.get("/own-policy")
def own_policy():
    return "framed", {"Content-Security-Policy": "frame-ancestors https://partner.test"}


@blueprint.get("/own-headers")
def own_headers():
    return "relaxed", {
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "unsafe-none",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Permissions-Policy": "camera=*",
        "Content-Security-Policy-Report-Only": "img-src https:",
        "X-Content-Type-Options": "nosniff",
        "Strict-Transport-Security": "max-age=31536000",
    }


@blueprint.get("/moved-in")
def moved_in():
    """A page as many applications have it, that knows nothing of a policy."""
    return render_template("moved-in.html")


@blueprint.get("/nonce")
def nonce():
    return render_template("nonce.html")


@blueprint.get("/bad-nonce")
def bad_nonce():
    return "", {"X-CSP-Nonce": "' 'unsafe-inline"}


@blueprint.get("/headers")
def headers():
    return {name.lower(): request.headers.getlist(name) for name in request.headers.keys()}  # noqa: SIM118


@blueprint.before_app_request
def echo():
    """What arrived, before Flask has read anything into the path; with a validator, and in ranges, as a file is."""
    if "/echo" not in request.path:
        return None
    request.max_content_length = None
    seen = {"address": request.environ["RAW_URI"], "path": request.path, "host": request.host, "method": request.method}
    response = jsonify(seen | {"body": hashlib.sha256(request.get_data()).hexdigest()})
    response.add_etag()
    return response.make_conditional(request, accept_ranges=True, complete_length=response.content_length)


@blueprint.get("/user/<int:item_id>")
def user(item_id):
    """A request of somebody: any row may be that."""
    g.user = get_item(item_id)
    return str(item_id)


@blueprint.route("/boom", methods=["GET", "POST"])
def boom():
    """An exception with all in its text that must not be seen."""
    sent = [request.url, request.form, request.get_data(), dict(request.headers)]
    raise RuntimeError(f"boom {db.engine.url.render_as_string(hide_password=False)} {sent}")


@blueprint.get("/large-headers")
def large_headers():
    """A session as large as Flask makes one, and further cookies."""
    size = request.args.get("bytes", type=int) - 4096
    return "large", [("Set-Cookie", f"session={'s' * 4085}"), *(("X-More", "m" * 1000) for _ in range(size // 1000))]


@blueprint.get("/events")
def events():
    """Server-sent events, or parts of another stream."""

    def told(events):
        for number in range(events):
            yield f"data: {number}\n\n"
            time.sleep(1)

    kind = request.args.get("type", "text/event-stream")
    answer = Response(told(request.args.get("events", type=int)), mimetype=kind)
    if "buffering" in request.args:
        answer.headers["X-Accel-Buffering"] = request.args["buffering"]
    return answer


class Taken(Response):
    """What Flask-Sock does, too: gunicorn leaves a connection alone whose response ends like this."""

    def __call__(self, *_):
        raise StopIteration


@blueprint.get("/websocket", websocket=True)
def websocket():
    """Sends each message back, until its client or somebody else closes."""
    connection = request.environ["gunicorn.socket"]
    key = f"{request.headers['Sec-WebSocket-Key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()
    accepted = base64.b64encode(hashlib.sha1(key, usedforsecurity=False).digest()).decode()
    head = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
    connection.sendall("\r\n".join((*head, f"Sec-WebSocket-Accept: {accepted}", "", "")).encode())
    frames = connection.makefile("rb")
    while (start := frames.read(2)) and start[0] == 0x81:  # a text of up to 125 bytes, masked
        mask, text = frames.read(4), frames.read(start[1] & 0x7F)
        text = bytes(byte ^ mask[place % 4] for place, byte in enumerate(text))
        connection.sendall(bytes((0x81, len(text))) + text)
    return Taken()
