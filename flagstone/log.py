"""Log lines: one JSON object each, or text for people in development. Secrets that can be recognised are masked.

Imports no Flask: gunicorn's master process sets up its own log through this module, before gevent has patched anything.
"""

import fcntl
import logging
import os
import re
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from pythonjsonlogger.json import JsonFormatter

TEXT = "%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s"
FILE_SIZE, FILES = 10 * 1024 * 1024, 5  # as Docker's: compose.prod.yaml
HIDDEN = "[hidden]"

# A setting, field, header or parameter with one of these in its name is masked.
SENSITIVE_NAME = r"""(?:
    pass(?:word|wd|phrase) | pwd | secret | token | (?:api|private|access).?key | authorization | credential
    | cookie | session | csrf | jwt | signature
)"""
SENSITIVE = re.compile(SENSITIVE_NAME, re.IGNORECASE | re.VERBOSE)
# Every repetition has a bound, because a log line may be made of what a stranger sent.
VALUE = r"""(?:
    [bru]? \\{0,3} " [^"]{0,4000}            # "quoted", perhaps escaped, perhaps a Python literal
    | [bru]? \\{0,3} ' [^']{0,4000}          # 'quoted'
    | (?:bearer|basic) \s+ [^\s"']+          # a header's scheme and credentials
    | \(? [^\s&;,"'<>)}\]]+                  # up to the next separator
)"""
# name=value, name: value, "name": value, ("name", value), (name)=(value) in a detail of PostgreSQL
ASSIGNED = r"""(?: \\{0,3} ["']? [\])]? \s{0,5} (?:[=:]|%3d) | ["'], ) \s{0,5}"""
# Where a secret begins in a text: what group 1 matches stays, the rest is masked.
MASKS = [
    re.compile(pattern, re.IGNORECASE | re.VERBOSE)
    for pattern in (
        r"(cookie: [ ]?) [^\r\n]+",
        rf"({SENSITIVE_NAME} [\w-]{{0,30}} {ASSIGNED}) {VALUE}",
        r"((?:bearer|basic) \s{1,5}) [\w.~+/=-]{8,}",
        r"""(:// [^\s:/@"']{0,200} :) [^\s"']{1,500} (?=@)""",  # a password in a URL
        r"() \b eyJ [\w-]{5,} \. [\w.-]+",  # a JSON Web Token
    )
]
secret_values: list[str] = []  # of the settings: masked wherever they turn up


def configure(settings: Any, context: Callable[[], dict[str, str]] = dict) -> None:
    """Send what is logged to stdout and to LOG_FILE; `context` returns the further fields of a line.

    Uncaught exceptions and warnings become lines too.
    """
    secret_values[:] = secrets_in(settings)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if settings.LOG_FILE:
        handlers.append(SharedFileHandler(settings.LOG_FILE, maxBytes=FILE_SIZE, backupCount=FILES - 1))
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if handler.name == "flagstone"]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.name = "flagstone"
        handler.addFilter(lambda record: add_fields(record, context))
        handler.setFormatter(Json() if settings.LOG_FORMAT == "json" else Text(TEXT, defaults={"request_id": "-"}))
        root.addHandler(handler)
    root.setLevel(settings.LOG_LEVEL.upper())
    logging.getLogger("alembic.runtime.plugins").setLevel("WARNING")  # five lines each time a process starts

    logging.captureWarnings(settings.LOG_FORMAT == "json")
    threading.excepthook = lambda args: log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    if not sys.stdout.isatty():  # a person at `flask shell` wants to see a traceback
        sys.excepthook = log_uncaught


def add_fields(record: logging.LogRecord, context: Callable[[], dict[str, str]]) -> bool:
    with suppress(Exception):  # raised here, it would take the place of what is logged
        record.__dict__.update(context())
    return True


def log_uncaught(*exception: Any) -> None:
    if exception[0] is not SystemExit:  # a thread that ends, such as gunicorn's reloader
        logging.getLogger(__name__).critical("Uncaught exception", exc_info=exception)


class Json(JsonFormatter):
    """The names of the fields are those of nginx's lines, nginx/http/logging.conf."""

    def __init__(self) -> None:
        super().__init__(["message"], rename_fields={"exc_info": "exception", "stack_info": "stack"})

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        log_data["time"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        log_data |= {"level": record.levelname.lower(), "logger": record.name}
        super().add_fields(log_data, record, message_dict)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return redact(log_data)


class Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def redact(value: Any, name: str = "") -> Any:
    """Mask the secrets in a text or a structure: those of the settings by value, others by their name or shape."""
    if value and SENSITIVE.search(name):
        return HIDDEN
    if isinstance(value, dict):
        return {key: redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    if isinstance(value, str):
        for secret in secret_values:
            value = value.replace(secret, HIDDEN)
        for mask in MASKS:
            value = mask.sub(rf"\1{HIDDEN}", value)
    return value


def secrets_in(settings: Any) -> list[str]:
    """The secrets that a library may quote without their name; none so short that it is a word."""
    values = {name: getattr(settings, name) for name in dir(settings) if name.isupper()}
    texts = [
        (name, str(item)) for name, value in values.items() for item in (value if type(value) is list else [value])
    ]
    found = [line for name, text in texts if re.search("SECRET|PASSWORD|PRIVATE", name) for line in text.splitlines()]
    found += [password for _, text in texts for password in re.findall(r"://[^\s:/@]*:(\S+)@", text)]
    return [secret for secret in found if len(secret) >= 8]


class SharedFileHandler(RotatingFileHandler):
    """A rotating file that several processes write: one of them rotates, the others notice and follow."""

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - logging's name
        if not self.is_current():
            self.stream.close()
            self.stream = self._open()
        return super().shouldRollover(record)

    def doRollover(self) -> None:  # noqa: N802
        with Path(f"{self.baseFilename}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.is_current():  # nobody was faster
                super().doRollover()

    def is_current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self.stream.fileno()), Path(self.baseFilename).stat())
        except FileNotFoundError:
            return False
