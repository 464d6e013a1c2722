"""The Content Security Policy's part here: a nonce for each response, and a log line for what browsers report.

nginx sends the policy (nginx/http/headers.conf.template), puts the nonce into it, and lets reports through to
/csp-report. Anybody can post there. So of all that a report says only a directive and an origin reach the log, once an
hour for each policy, and at most FINDINGS_MAX of them in each process.
"""

import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, has_request_context, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

PATH = "/csp-report"
REPORT_MAX = 64 * 1024  # bytes, as in nginx/site/csp-report.conf
REPORTS_MAX = 100  # of one body
FINDINGS_MAX = 100
FORGOTTEN_AFTER = 3600  # seconds
NONCE, TOLD = "flagstone.csp_nonce", "flagstone.csp_told"  # in the environ of a request

DIRECTIVES = re.compile(
    r"((child|connect|default|font|frame|img|manifest|media|object|script|style|worker)-src|base-uri|form-action"
    r"|frame-ancestors)(-elem|-attr)?"
)
KEYWORDS = {"inline": "'unsafe-inline'", "eval": "'unsafe-eval'", "wasm-eval": "'wasm-unsafe-eval'", "self": "'self'"}
SCHEMES = {"data", "blob", "filesystem", "mediastream"}
# What a visitor's browser put into the page, and no page of ours asked for.
EXTENSION = re.compile(r"[\w-]*-extension\b|webkit-masked-url|user-script")
# What does without allowing all of a kind.
INSTEAD = {
    "script-src-elem 'unsafe-inline'": ' (or nonce="{{ csp_nonce() }}" in the tag)',
    "style-src-elem 'unsafe-inline'": ' (or nonce="{{ csp_nonce() }}" in the tag)',
    "script-src-attr 'unsafe-inline'": " (or a listener in a file, instead of onclick and the like)",
    "style-src-attr 'unsafe-inline'": " (or a class in a file, instead of style attributes)",
    "frame-ancestors https://its.name": " (the site that frames these pages: no report names it)",
}

logger = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    app.jinja_env.globals.setdefault("csp_nonce", csp_nonce)
    app.after_request(tell_nginx)
    for backend in app.extensions.get("cache", {}).values():
        backend.set = unless_it_has_a_nonce(backend.set)
    app.wsgi_app = Reports(app.wsgi_app, app)


def csp_nonce() -> str:
    """For the attribute `nonce` of a <script> or <style> in this response: 128 random bits, the same for all of it.

    No cache keeps the response. Raises RuntimeError once its headers are sent: ask before a stream begins.
    """
    if not has_request_context():  # a mail from the same templates
        return secrets.token_urlsafe(16)
    # Not in `g`, which outlives a request where a test has pushed a context.
    if NONCE not in request.environ:
        if TOLD in request.environ:
            raise RuntimeError("csp_nonce() comes too late: the headers of this response are sent")
        request.environ[NONCE] = secrets.token_urlsafe(16)
    return request.environ[NONCE]


def tell_nginx(response: Response) -> Response:
    request.environ[TOLD] = True
    if nonce := request.environ.get(NONCE):
        response.headers["X-CSP-Nonce"] = nonce  # nginx keeps it to itself: nginx/site/proxy.conf
        # Kept, it would be shared; and a 304 would bring another nonce than the page has.
        response.headers["Cache-Control"] = "no-store"
    return response


def unless_it_has_a_nonce(store: Callable[..., Any]) -> Callable[..., Any]:
    """The `set` of a cache, by which a page, or a part of one, that has this response's nonce in it is not stored."""

    @wraps(store)
    def storing(key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        nonce = has_request_context() and request.environ.get(NONCE)
        if nonce and nonce in (value.get_data(as_text=True) if isinstance(value, Response) else str(value)):
            logger.warning("Not cached, because csp_nonce() is in it: %s", key)
            return False
        return store(key, value, *args, **kwargs)

    return storing


class Reports:
    """WSGI middleware that answers POST /csp-report, unless the application has such an address of its own.

    Before the application: a browser sends a report without a CSRF token, a login or whatever else that asks for.
    """

    def __init__(self, wsgi_app: Callable[..., Any], app: Flask):
        self.wsgi_app, self.app = wsgi_app, app
        self.findings: set[tuple[Any, ...]] = set()
        self.began = time.monotonic()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] != "POST" or self.app_has_its_own():
            return self.wsgi_app(environ, start_response)
        return self.answer(environ)(environ, start_response)

    def app_has_its_own(self) -> bool:
        return any(rule.rule == PATH for rule in self.app.url_map.iter_rules())

    def answer(self, environ: dict[str, Any]) -> Response:
        report = Request(environ)
        report.max_content_length = REPORT_MAX
        try:
            for finding in islice(read(report.get_data()), REPORTS_MAX):
                self.log(*finding)
        except HTTPException as error:
            return error.get_response(environ)
        except ValueError:
            return Response("expected a report of a browser, in JSON\n", 400)
        return Response(status=204)

    def log(self, directive: str, source: str, enforced: bool, policy: str) -> None:
        if time.monotonic() - self.began > FORGOTTEN_AFTER:
            self.findings.clear()
            self.began = time.monotonic()
        finding = (directive, source, enforced, hash(policy))
        if finding in self.findings or len(self.findings) == FINDINGS_MAX:
            return
        self.findings.add(finding)
        allowing = f"{directive.removesuffix('-elem').removesuffix('-attr')} {source}"
        instead = INSTEAD.get(f"{directive} {source}", "")
        logger.warning("CSP %s what this allows: %s%s", "blocks" if enforced else "would block", allowing, instead)
        if len(self.findings) == FINDINGS_MAX:
            logger.warning("CSP has %d findings, and no further ones are logged for an hour", FINDINGS_MAX)


def read(body: bytes) -> Iterator[tuple[str, str, bool, str]]:
    """Directive, source, whether it was blocked, and the policy, of each report. Raises ValueError where there is none.

    Both formats: `report-uri` sends an object for each finding, the Reporting API a list of reports of all kinds.
    """
    document = json.loads(body)
    for report in document if isinstance(document, list) else [document]:
        if not isinstance(report, dict):
            raise ValueError("expected an object")
        fields = report.get("csp-report") or (report.get("type") == "csp-violation" and report.get("body"))
        if not isinstance(fields, dict):
            continue
        # blocked-uri, blockedURL: one name for both
        fields = {re.sub("-|ur[il]$", "", name.lower()): value for name, value in fields.items() if type(value) is str}
        directive = fields.get("effectivedirective") or fields.get("violateddirective", "").partition(" ")[0]
        source = source_of(fields.get("blocked", ""), fields.get("document", ""))
        if directive == "frame-ancestors":  # what was blocked is our own page
            source = "https://its.name"
        if source and DIRECTIVES.fullmatch(directive) and not EXTENSION.match(fields.get("sourcefile", "")):
            policy = re.sub("'nonce-[^']*'", "", fields.get("originalpolicy", ""))  # it differs by response
            yield directive, source, fields.get("disposition") != "report", policy


def source_of(blocked: str, document: str) -> str | None:
    """What a policy calls that which was blocked; None for what it cannot allow."""
    if blocked in KEYWORDS:
        return KEYWORDS[blocked]
    scheme = blocked.partition(":")[0]
    if scheme in SCHEMES:
        return f"{scheme}:"
    found = origin(blocked)
    return "'self'" if found and found == origin(document) else found


def origin(address: str) -> str | None:
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    if parts.scheme not in ("http", "https", "ws", "wss") or not re.fullmatch(
        r"[a-z0-9._-]{1,253}", parts.hostname or ""
    ):
        return None
    return f"{parts.scheme}://{parts.hostname}{port}"
