"""Files of users: what they are is read from their content, and nginx sends them when a view has allowed it.

A file is written once, where it stays, and is KEY.part until the row that names it is committed. So whatever a crash
leaves is a .part, and of those `settle` asks the database. A file that was acknowledged is never in question.
"""

import codecs
import os
import re
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath
from shutil import copyfileobj
from typing import IO, Annotated

from celery import shared_task
from flask import Flask, Response, current_app, request, send_from_directory
from flask.typing import ResponseReturnValue
from sqlalchemy import String
from sqlalchemy.orm import mapped_column
from werkzeug.datastructures import FileStorage

from flagstone import incoming
from flagstone.config import ConfigError
from flagstone.errors import InvalidInput
from flagstone.extensions import db
from flagstone.incoming import Part
from flagstone.loop import on_disk

NAME_MAX = 200
DOUBTFUL = 3600  # seconds until a .part is none that a request still works on

# A column that names a file; `settle` finds it by the mark.
Key = Annotated[str, mapped_column(String(32), info={"upload": True})]

# How a file begins, its type, and the names it may have. Whatever is text is sent as plain text, HTML too.
SIGNATURES = (
    (rb"\x89PNG\r\n\x1a\n", "image/png", (".png",)),
    (rb"\xff\xd8\xff", "image/jpeg", (".jpg", ".jpeg")),
    (rb"GIF8[79]a", "image/gif", (".gif",)),
    (rb"RIFF....WEBP", "image/webp", (".webp",)),
    (rb"%PDF-", "application/pdf", (".pdf",)),
)
TEXT = ("text/plain", (".txt", ".csv", ".md", ".log"))


def init_app(app: Flask) -> None:
    """Their folder: UPLOAD_FOLDER, or `uploads` in the instance folder."""
    folder = app.config["UPLOAD_FOLDER"] = Path(app.config["UPLOAD_FOLDER"] or Path(app.instance_path, "uploads"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError({"UPLOAD_FOLDER": f"expected a folder that can be written ({error.strerror})"}) from None
    incoming.init_app(app)


def save(file: FileStorage) -> dict[str, str]:
    """Store it, for now. Returns `key`, for a column of the type Key, and `name` and `type` for whoever gets it.

    When the row is committed, call `keep`.
    """
    kind, suffixes = detect(file)
    name = safe_name(file.filename or "", suffixes)
    part = file.stream
    if not isinstance(part, Part):  # a small one, of a view that does not take files
        copyfileobj(file.stream, part := request.new_part())
    part.save()
    return {"key": part.path.stem, "name": name, "type": kind}


def safe_name(name: str, suffixes: tuple[str, ...]) -> str:
    """Without folders and control characters, and so that a saved file opens as what it is."""
    name = re.sub(r"[^\w .()-]", "_", PurePosixPath(name.replace("\\", "/")).name)
    if PurePosixPath(name).suffix.lower() not in suffixes:
        name = (name or "file") + suffixes[0]
    return name[-NAME_MAX:]


def detect(file: FileStorage) -> tuple[str, tuple[str, ...]]:
    head = file.stream.read(16)
    file.stream.seek(0)
    for signature, kind, suffixes in SIGNATURES:
        if re.match(signature, head, re.DOTALL):
            return kind, suffixes
    if not head or not on_disk(is_text, file.stream):
        raise InvalidInput({"file": "expected an image (PNG, JPEG, GIF, WebP), a PDF or text in UTF-8"})
    return TEXT


def is_text(stream: IO[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := stream.read(64 * 1024):
            decoder.decode(chunk)
            if re.search(rb"[\x00-\x08\x0e-\x1f]", chunk):
                return False
        decoder.decode(b"", final=True)
    except ValueError:
        return False
    finally:
        stream.seek(0)
    return True


def keep(key: str) -> None:
    """The row that names it is committed."""
    try:
        on_disk(path(key, ".part").rename, path(key))
    except FileNotFoundError:
        if not path(key).exists():  # nobody was faster
            raise


def doubt(key: str) -> None:
    """The row that names it is about to be deleted; when that is committed, call `delete`."""
    with suppress(FileNotFoundError):
        on_disk(os.utime, path(key))  # `settle` leaves it alone for as long as a new one
        on_disk(path(key).rename, path(key, ".part"))


def delete(key: str) -> None:
    for suffix in ("", ".part"):
        on_disk(path(key, suffix).unlink, True)


def path(key: str, suffix: str = "") -> Path:
    return current_app.config["UPLOAD_FOLDER"] / f"{key}{suffix}"


def send(key: str, name: str, kind: str) -> ResponseReturnValue:
    """The file, to be saved and not shown: nothing that a user sent runs in this site's name."""
    with suppress(FileNotFoundError):
        keep(key)  # a crash may have come between its commit and this
    response: Response = send_from_directory(
        current_app.config["UPLOAD_FOLDER"], key, mimetype=kind, as_attachment=True, download_name=name, max_age=0
    )
    response.cache_control.private = True
    if current_app.config["PROXY_HOPS"]:  # nginx/site/application.conf
        response.response = []
        response.headers["X-Accel-Redirect"] = f"/uploads/{key}"
        del response.headers["Content-Length"]
    return response


@shared_task
def settle() -> None:
    """What a crash left in doubt: a file that a row names is kept, any other one deleted."""
    before, keys = time.time() - DOUBTFUL, set()
    for part in current_app.config["UPLOAD_FOLDER"].glob("*.part"):
        with suppress(FileNotFoundError):  # settled meanwhile
            if part.stat().st_mtime < before:
                keys.add(part.stem)
    if not keys:
        return
    columns = [column for table in db.metadata.tables.values() for column in table.columns if column.info.get("upload")]
    named = {key for column in columns for key in db.session.scalars(db.select(column).where(column.in_(keys)))}
    for key in keys:
        (keep if key in named else delete)(key)
    current_app.logger.warning("Files that a crash left in doubt: %d kept, %d deleted", len(named), len(keys - named))
