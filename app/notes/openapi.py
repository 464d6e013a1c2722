"""What app/notes/api.py takes and answers."""

from app.notes.model import ID_MAX, LIMITS
from flagstone.openapi import PAGING, SIGNED_IN, json_body, operation, parameter

NOTE = {
    "type": "object",
    "required": ["id", "title", "body", "author_id", "file", "created_at"],
    "properties": {
        "id": {"type": "integer"},
        "title": {"type": "string"},
        "body": {"type": "string"},
        "author_id": {"type": ["integer", "null"]},
        "file": {"type": ["string", "null"], "description": "Its name; it is at /notes/{note_id}/file"},
        "created_at": {"type": "string", "format": "date-time"},
    },
}
PAGE_FIELDS = ("page", "per_page", "pages", "total")
PAGE = {
    "type": "object",
    "required": ["notes", *PAGE_FIELDS],
    "properties": {"notes": {"type": "array", "items": NOTE}} | {name: {"type": "integer"} for name in PAGE_FIELDS},
}
ID = [parameter("note_id", "path", {"type": "integer", "minimum": 1, "maximum": ID_MAX})]

PATHS = {
    "/api/notes": {
        "get": operation("One page of the notes, the newest first", {200: PAGE}, 400, parameters=PAGING),
        "post": operation("Write a note", {201: NOTE}, 400, 401, 413, 415, body=json_body(LIMITS), security=SIGNED_IN),
    },
    "/api/notes/{note_id}": {
        "get": operation("A note", {200: NOTE}, 404, parameters=ID),
        "delete": operation("Delete a note of yours", {204: None}, 401, 403, 404, parameters=ID, security=SIGNED_IN),
    },
}
