"""Other sites may link to this one, but not write to it with a visitor's browser.

Every browser since 2023 says with Sec-Fetch-Site where a request comes from, and older ones send Origin with a POST.
What sends neither is no browser, and nobody's session can be abused through it. So forms need no token, pages no
session, and it holds for the API too. There CORS_ORIGINS may write, but never with a visitor's cookies.
"""

from flask import Flask, abort, current_app, request


def init_app(app: Flask) -> None:
    app.before_request(refuse_cross_site_writes)


def refuse_cross_site_writes() -> None:
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    # A WebSocket begins with a GET, which browsers send from anywhere, with cookies.
    websocket = request.headers.get("Upgrade", "").lower() == "websocket"
    if (request.method in ("GET", "HEAD", "OPTIONS") and not websocket) or site in ("same-origin", "none"):
        return
    if origin in current_app.config["CORS_ORIGINS"] and request.path.startswith("/api/") and not request.cookies:
        return
    ours = f"{request.scheme}://{request.host}"  # without a port that is the scheme's own
    if site or (origin and origin.removesuffix(":443" if request.is_secure else ":80") != ours):
        abort(403, "This request came from another site.")
