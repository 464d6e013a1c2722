"""The notes as pages."""

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.auth.current import current_user, login_required
from app.notes import model
from flagstone import uploads
from flagstone.edge import public_for
from flagstone.errors import InvalidInput
from flagstone.incoming import takes_files
from flagstone.validation import read_page

blueprint = Blueprint("notes", __name__, url_prefix="/notes", template_folder="templates")


@blueprint.get("")
@public_for(60)
def index() -> ResponseReturnValue:
    return show_page(*read_page())


@blueprint.post("")
@login_required
@takes_files
def create() -> ResponseReturnValue:
    try:
        model.create_note(current_user(), request.form.to_dict(), request.files.get("file"))
    except InvalidInput as error:
        return show_page(faults=error.fields), error.code
    return redirect(url_for(".index"), 303)


@blueprint.post("/<int:note_id>/delete")
@login_required
def delete(note_id: int) -> ResponseReturnValue:
    model.delete_note(current_user(), note_id)
    return redirect(url_for(".index"), 303)


@blueprint.get("/<int:note_id>/file")
@login_required
def file(note_id: int) -> ResponseReturnValue:
    """For every user; a stranger has to sign in. Your rule goes here."""
    note = model.get_note(note_id)
    if not note.file_key:
        abort(404, "This note carries no file.")
    return uploads.send(note.file_key, note.file_name, note.file_type)


def show_page(page: int = 1, per_page: int = 20, faults: dict[str, str] | None = None) -> str:
    listing = model.list_notes(page, per_page)
    return render_template("notes/index.html", **listing, limits=model.LIMITS, faults=faults or {})
