"""The notes as JSON."""

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from app.auth.current import current_user, login_required
from app.notes import model
from flagstone.edge import public_for
from flagstone.incoming import takes_files
from flagstone.validation import read_body, read_page

blueprint = Blueprint("notes_api", __name__, url_prefix="/api/notes")


@blueprint.get("")
@public_for(60)
def index() -> ResponseReturnValue:
    return model.list_notes(*read_page())


@blueprint.post("")
@login_required
@takes_files
def create() -> ResponseReturnValue:
    note = model.create_note(current_user(), read_body(), request.files.get("file"))
    return note.as_dict(), 201, {"Location": url_for(".show", note_id=note.id, _external=True)}


@blueprint.get("/<int:note_id>")
def show(note_id: int) -> ResponseReturnValue:
    return model.get_note(note_id).as_dict()


@blueprint.delete("/<int:note_id>")
@login_required
def delete(note_id: int) -> ResponseReturnValue:
    model.delete_note(current_user(), note_id)
    return "", 204
