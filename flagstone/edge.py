"""Pages that are the same for every stranger: nginx keeps them and answers by itself (nginx/http/pages.conf.template).

Two have to say so: `public_for` of a view, and app/nginx/public-addresses.conf of its address. There nginx asks for a
stranger in nobody's name, with no header and no cookie of anybody. So whatever a page shows, nobody can be in it.
"""

import logging
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from flask import Flask, current_app, request, session
from werkzeug.wrappers import Response

from flagstone.csp import NONCE
from flagstone.live import forget_pages
from flagstone.log_context import request_id, user_id

__all__ = ["forget_pages", "public_for"]

ASKED = "HTTP_X_EDGE_CACHE"  # nginx would keep the answer; whoever else sends it is not believed (flagstone/proxy.py)
SECONDS = "flagstone.public_for"  # in the environ of a request
STALE = 24 * 3600  # seconds that a page is shown beyond them: while a new one is fetched, and while none can be

logger = logging.getLogger(__name__)


def public_for(seconds: int) -> Callable[..., Any]:
    """Strangers may be shown this view's answer for so long, or until `forget_pages`. Others are answered each time."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def public(*args: Any, **kwargs: Any) -> Any:
            request.environ[SECONDS] = seconds
            return view(*args, **kwargs)

        return public

    return decorate


def init_app(app: Flask) -> None:
    app.after_request(let_nginx_keep)


def let_nginx_keep(response: Response) -> Response:
    seconds, kept = request.environ.get(SECONDS), ASKED in request.environ and current_app.config["PROXY_HOPS"]
    if not seconds or not kept or response.status_code != 200:
        return response
    if reason := not_for_all(response):
        warn(request.endpoint, reason)
        response.headers["Cache-Control"] = "no-store"
        return response
    response.headers["Cache-Control"] = (
        f"public, s-maxage={seconds}, stale-while-revalidate={STALE}, stale-if-error={STALE}"
    )
    response.vary.add("Cookie")  # for whoever is in between; nginx knows better which
    if not response.is_streamed:
        response.add_etag()  # so that a browser which has it gets no more than a 304
    return response


def not_for_all(response: Response) -> str | None:
    """What is in it that is one person's."""
    control = response.cache_control
    found = {
        "somebody asks": bool(request.cookies) or "Authorization" in request.headers,
        "csp_nonce() is in it": NONCE in request.environ,
        "it sets a cookie": "Set-Cookie" in response.headers or session.modified,
        "it is of a user": user_id() is not None,
        "request_id() is in it": not response.is_streamed and request_id().encode() in response.get_data(),
        "it says so itself": control.private or control.no_store or control.no_cache or "*" in response.vary,
    }
    return next((reason for reason, true in found.items() if true), None)


@cache
def warn(endpoint: str, reason: str) -> None:
    """Once in each process."""
    logger.warning("%s is public_for strangers, but not kept, because %s", endpoint, reason)
