"""/api/openapi.json: the API in OpenAPI 3.1, put together from the parts that describe their own routes."""

from typing import Any

from flask import Blueprint, Flask, current_app
from flask.typing import ResponseReturnValue

from flagstone import validation

blueprint = Blueprint("flagstone_openapi", __name__)

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["status", "message", "request_id"],
            "properties": {
                "status": {"type": "integer"},
                "message": {"type": "string"},
                "request_id": {"type": "string"},
                "fields": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        }
    },
}
EVERYWHERE = {429: "Too many requests", 503: "Not available now"}
EMPTY = {"application/json": {"schema": {"type": "object", "additionalProperties": False}}}
SIGNED_IN = [{"session": []}, {"token": []}]
TOKEN = [{"token": []}]


def init_app(app: Flask) -> None:
    app.extensions["openapi"] = {}


def describe(app: Flask, paths: dict[str, dict[str, Any]]) -> None:
    if not app.extensions["openapi"]:
        app.register_blueprint(blueprint)
    app.extensions["openapi"] |= paths


def operation(
    summary: str,
    answers: dict[int, Any],
    *errors: int,
    body: Any = None,
    security: Any = (),
    parameters: Any = (),
    media: str = "application/json",
) -> dict[str, Any]:
    """One method of one path. `answers` has the schema of each good status, `errors` the other ones."""
    responses = {
        status: {"description": "Done"} | ({"content": {media: {"schema": schema}}} if schema else {})
        for status, schema in answers.items()
    }
    for status in (*errors, *EVERYWHERE):
        text = EVERYWHERE.get(status, "See error.message")
        responses[status] = {"description": text, "content": {"application/json": {"schema": ERROR}}}
    described = {"summary": summary, "responses": responses, "parameters": list(parameters), "security": list(security)}
    if body:
        described["requestBody"] = {"required": body is not EMPTY, "content": body}
    return described


def json_body(limits: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
    """What flagstone.validation.read_fields takes with these limits."""
    properties = {name: text_field(minimum, maximum) for name, (minimum, maximum, *_) in limits.items()}
    required = [name for name, (minimum, *_) in limits.items() if minimum]
    schema = {"type": "object", "additionalProperties": False, "properties": properties, "required": required}
    return {"application/json": {"schema": schema}}


def text_field(minimum: int, maximum: int) -> dict[str, Any]:
    """What flagstone.validation.read_text takes."""
    # Not only white space where there must be something, and never NUL.
    pattern = r"^[^\u0000]*$" if minimum == 0 else r"^[^\u0000]*[^\s\u0000][^\u0000]*$"
    return {"type": "string", "minLength": minimum, "maxLength": maximum, "pattern": pattern}


def parameter(name: str, where: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


PAGING = [
    parameter(name, "query", {"type": "integer", "minimum": 1, "maximum": maximum, "default": default})
    for name, (default, maximum) in validation.PAGING.items()
]


@blueprint.get("/api/openapi.json")
def document() -> ResponseReturnValue:
    cookie = current_app.config["SESSION_COOKIE_NAME"]
    return {
        "openapi": "3.1.0",
        "info": {"title": current_app.config["PROJECT_NAME"].title(), "version": current_app.config["RELEASE"]},
        "paths": current_app.extensions["openapi"],
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "session": {"type": "apiKey", "in": "cookie", "name": cookie},
            }
        },
    }
