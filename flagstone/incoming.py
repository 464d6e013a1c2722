"""Requests that bring files: few at once, onto the disk, and only to views that say so with `takes_files`.

Every other view takes a form's few kilobytes (flagstone/validation.py).
"""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from io import BytesIO, FileIO
from pathlib import Path
from shutil import disk_usage
from threading import BoundedSemaphore
from typing import IO, Any

from flask import Flask, current_app, request
from flask import Request as FlaskRequest
from werkzeug.exceptions import ServiceUnavailable, TooManyRequests

from flagstone.log_context import user_id
from flagstone.loop import on_disk

WAIT = 5  # seconds, for one of UPLOADS_AT_ONCE
WAITING_USER, WAITING = 2, 10  # times UPLOADS_AT_ONCE: uploads of one user and of all, those that wait included


def init_app(app: Flask) -> None:
    app.request_class = Request
    app.extensions["gate"] = Gate(app.config["UPLOADS_AT_ONCE"])


def takes_files(view: Callable[..., Any]) -> Callable[..., Any]:
    """Stands below the decorator that asks who it is: what a stranger sends is not even read."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if request.mimetype != "multipart/form-data":
            return view(*args, **kwargs)
        with current_app.extensions["gate"].enter(user_id() or request.remote_addr):
            config = current_app.config
            free = on_disk(disk_usage, config["UPLOAD_FOLDER"]).free
            if free - (request.content_length or 0) < config["UPLOAD_DISK_RESERVE"]:
                raise full("less than UPLOAD_DISK_RESERVE would be free")
            request.to_disk, request.max_content_length = True, config["MAX_CONTENT_LENGTH"]
            return view(*args, **kwargs)

    return guarded


class Gate:
    """How many uploads one process works on at once. A user's crowd is refused before it fills the queue."""

    def __init__(self, limit: int):
        self.limit, self.slots = limit, BoundedSemaphore(limit)
        self.users: list[str] = []  # of those inside and those that wait

    @contextmanager
    def enter(self, user: str) -> Iterator[None]:
        if self.users.count(user) >= WAITING_USER * self.limit:
            raise TooManyRequests("You are sending too many files at once.", retry_after=WAIT)
        if len(self.users) >= WAITING * self.limit:
            raise busy()
        self.users.append(user)
        try:
            if not self.slots.acquire(timeout=WAIT):
                raise busy()
            try:
                yield
            finally:
                self.slots.release()
        finally:
            self.users.remove(user)


def busy() -> ServiceUnavailable:
    return ServiceUnavailable("Too many files are being sent, please try again.", retry_after=WAIT)


def full(reason: str | None) -> ServiceUnavailable:
    current_app.logger.error("An upload cannot be stored: %s", reason)
    return ServiceUnavailable("This file cannot be stored now, please try again later.", retry_after=60)


class Request(FlaskRequest):
    """Werkzeug's would put files into /tmp, which is memory in a container."""

    to_disk = False

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.parts: list[Part] = []

    def _get_file_stream(self, *args: Any, **kwargs: Any) -> IO[bytes]:
        return self.new_part() if self.to_disk else BytesIO()

    def new_part(self) -> Part:
        self.parts.append(Part(current_app.config["UPLOAD_FOLDER"]))
        return self.parts[-1]

    def close(self) -> None:
        super().close()
        for part in self.parts:  # of a form that was not read to its end, too
            part.close()


class Part(FileIO):
    """A file that comes in, in the folder where it may stay. Closed before it is saved, it is gone."""

    def __init__(self, folder: Path):
        self.path, self.saved = folder / f"{uuid.uuid4().hex}.part", False
        with storing():
            on_disk(super().__init__, self.path, "x+")

    def write(self, data: bytes) -> int:
        with storing():
            on_disk(self.write_all, data)
        return len(data)

    def write_all(self, data: bytes) -> None:
        while data:
            data = data[super().write(data) :]

    def save(self) -> None:
        with storing():
            on_disk(os.fchmod, self.fileno(), 0o644)  # nginx has another uid
            on_disk(os.fsync, self.fileno())  # a committed row outlives a loss of power, and so does its file
        self.saved = True

    def close(self) -> None:
        if not self.closed:
            on_disk(self.discard)

    def discard(self) -> None:
        if not self.saved:
            self.path.unlink(missing_ok=True)
        super().close()


@contextmanager
def storing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise full(error.strerror) from None
