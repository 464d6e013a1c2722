"""Server-sent events leave nginx one by one: in HTTP/1.1 it would gather them until they fill a packet."""

from flask import Flask, Response


def init_app(app: Flask) -> None:
    app.after_request(do_not_gather)


def do_not_gather(response: Response) -> Response:
    if response.mimetype == "text/event-stream":
        response.headers.setdefault("X-Accel-Buffering", "no")
    return response
