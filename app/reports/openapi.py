"""What app/reports/api.py takes and answers."""

from flagstone.openapi import EMPTY, SIGNED_IN, operation, parameter

FIELDS = {
    "id": {"type": "string", "format": "uuid"},
    "state": {"enum": ["queued", "running", "done", "failed"]},
    "progress": {"type": "integer", "minimum": 0, "maximum": 100, "description": "percent"},
    "download": {"type": ["string", "null"], "description": "its address, when it is done"},
}
REPORT = {"type": "object", "required": [*FIELDS], "properties": FIELDS}
ORDERED = REPORT | {"properties": FIELDS | {"status": {"type": "string", "format": "uri"}}}
ID = [parameter("report_id", "path", {"type": "string", "format": "uuid"})]

PATHS = {
    "/api/reports": {
        "post": operation(
            "Order a report on all notes", {202: ORDERED}, 400, 401, 413, 415, body=EMPTY, security=SIGNED_IN
        )
    },
    "/api/reports/{report_id}": {
        "get": operation("How far it is", {200: REPORT}, 401, 404, parameters=ID, security=SIGNED_IN)
    },
    "/api/reports/{report_id}/download": {
        "get": operation(
            "The report", {200: {"type": "string"}}, 401, 404, 409, parameters=ID, security=SIGNED_IN, media="text/csv"
        )
    },
}
