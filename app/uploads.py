"""Files of users: what they are is read from their content, and nginx sends them when a view has allowed it."""

import re
import uuid
from pathlib import Path, PurePosixPath

from flask import Flask, Response, current_app, send_from_directory
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import ServiceUnavailable

from app.config import ConfigError
from app.errors import InvalidInput

NAME_MAX = 200
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


def save(file: FileStorage) -> dict[str, str]:
    """Store it. Returns `key`, the name on disk, and `name` and `type` for whoever gets it."""
    kind, suffixes = detect(file)
    name = safe_name(file.filename or "", suffixes)
    key = uuid.uuid4().hex
    path = current_app.config["UPLOAD_FOLDER"] / key
    try:
        file.save(path)
        path.chmod(0o644)  # nginx has another uid
    except OSError as error:
        path.unlink(missing_ok=True)
        current_app.logger.error("An upload cannot be stored: %s", error.strerror)
        raise ServiceUnavailable("This file cannot be stored now, please try again later.", retry_after=60) from None
    return {"key": key, "name": name, "type": kind}


def safe_name(name: str, suffixes: tuple[str, ...]) -> str:
    """Without folders and control characters, and so that a saved file opens as what it is."""
    name = re.sub(r"[^\w .()-]", "_", PurePosixPath(name.replace("\\", "/")).name)
    if PurePosixPath(name).suffix.lower() not in suffixes:
        name = (name or "file") + suffixes[0]
    return name[-NAME_MAX:]


def detect(file: FileStorage) -> tuple[str, tuple[str, ...]]:
    head = file.stream.read(16)
    for signature, kind, suffixes in SIGNATURES:
        if re.match(signature, head, re.DOTALL):
            file.stream.seek(0)
            return kind, suffixes
    file.stream.seek(0)
    try:
        text = file.stream.read().decode()
    except ValueError:
        text = "\0"
    file.stream.seek(0)
    if not text or re.search(r"[\x00-\x08\x0e-\x1f]", text):
        raise InvalidInput({"file": "expected an image (PNG, JPEG, GIF, WebP), a PDF or text in UTF-8"})
    return TEXT


def delete(key: str) -> None:
    (current_app.config["UPLOAD_FOLDER"] / key).unlink(missing_ok=True)


def send(key: str, name: str, kind: str) -> ResponseReturnValue:
    """The file, to be saved and not shown: nothing that a user sent runs in this site's name."""
    response: Response = send_from_directory(
        current_app.config["UPLOAD_FOLDER"], key, mimetype=kind, as_attachment=True, download_name=name, max_age=0
    )
    response.cache_control.private = True
    if current_app.config["PROXY_HOPS"]:  # nginx/site/application.conf
        response.response = []
        response.headers["X-Accel-Redirect"] = f"/uploads/{key}"
        del response.headers["Content-Length"]
    return response
