"""What a client sees of an error: JSON under /api, a page elsewhere, the request id in both, never a traceback."""

from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify, render_template, request
from sqlalchemy.exc import DBAPIError, TimeoutError
from werkzeug.exceptions import BadHost, BadRequest, HTTPException, SecurityError, ServiceUnavailable

from flagstone.database import describe_error, transient
from flagstone.log_context import request_id

blueprint = Blueprint("flagstone_errors", __name__, template_folder="templates")
# The application's page, if it has one; ours extends nothing, so that it can always be shown.
TEMPLATES = ["error.html", "flagstone/error.html"]

# What passes by itself, and the seconds after which to try again.
TRANSIENT = {
    "gone": ("The database is not available", 5),
    "slow": ("The database did not answer in time", 5),
    "busy": ("All connections to the database are in use", 5),
    "conflict": ("Another change came in between", 1),
}


class InvalidInput(BadRequest):
    """The request is well-formed, but fields of it are not what they have to be."""

    description = "Some fields are not valid."

    def __init__(self, fields: dict[str, str]):
        super().__init__()
        self.fields = fields


def init_app(app: Flask) -> None:
    app.register_blueprint(blueprint)
    theirs = tuple({error for errors in app.error_handler_spec[None].values() for error in errors})
    # Flask logs any other exception with its traceback and hands it on as a 500, an HTTPException.
    handlers = {HTTPException: error_response, DBAPIError: database_error, TimeoutError: database_error}
    for error, handler in handlers.items():
        if not issubclass(error, theirs):
            app.register_error_handler(error, handler)


def error_response(error: HTTPException) -> Response:
    response = Response.force_type(error.get_response(), request.environ)  # keeps Allow, Retry-After and the like
    if request.path.startswith("/api/"):
        body: dict[str, Any] = {"status": error.code, "message": error.description, "request_id": request_id()}
        if fields := faults(error):
            body["fields"] = fields
        response.data = jsonify(error=body).data
        response.content_type = "application/json"
    elif not isinstance(request.routing_exception, SecurityError | BadHost):  # a page cannot build addresses then
        response.data = error_page(error)
    return response


def faults(error: HTTPException) -> dict[str, Any] | None:
    """What is wrong with which field: ours, or what webargs and the libraries on top of it found."""
    return getattr(error, "fields", None) or (getattr(error, "data", None) or {}).get("messages")


def error_page(error: HTTPException) -> str:
    try:
        return render_template(TEMPLATES, error=error)
    except Exception:
        current_app.logger.exception("The application's error page cannot be shown")
        return render_template(TEMPLATES[-1:], error=error)


def database_error(error: DBAPIError | TimeoutError) -> Response:
    kind = transient(error)
    if kind is None:
        raise error
    text, seconds = TRANSIENT[kind]
    # Which statement it was, where that is the question.
    trace = error if kind in ("slow", "conflict") else None
    current_app.logger.error("%s: %s", text, describe_error(error), exc_info=trace)
    return error_response(ServiceUnavailable(f"{text}, please try again.", retry_after=seconds))
