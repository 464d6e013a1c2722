"""The notes as JSON."""

from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue

from app.notes import model
from app.notes.validation import limit_body, read_note, read_page

blueprint = Blueprint("notes_api", __name__, url_prefix="/api/notes")
blueprint.before_request(limit_body)


@blueprint.get("")
def index() -> ResponseReturnValue:
    return model.list_notes(*read_page())


@blueprint.post("")
def create() -> ResponseReturnValue:
    try:
        data = request.get_json()
    except RecursionError:
        abort(400, "This JSON is nested too deeply.")
    note = model.create_note(**read_note(data))
    return note.as_dict(), 201, {"Location": url_for(".show", note_id=note.id, _external=True)}


@blueprint.get("/<int:note_id>")
def show(note_id: int) -> ResponseReturnValue:
    return model.get_note(note_id).as_dict()


@blueprint.delete("/<int:note_id>")
def delete(note_id: int) -> ResponseReturnValue:
    model.delete_note(note_id)
    return "", 204
