"""What a client may send. Whatever passes here fits the database."""

from typing import Any

from flask import request

from app.errors import InvalidInput
from app.notes.model import BODY_MAX, TITLE_MAX

# Larger than any valid note, in any encoding.
REQUEST_MAX = 128 * 1024


def limit_body() -> None:
    request.max_content_length = REQUEST_MAX


def read_note(data: Any) -> dict[str, str]:
    """The fields of a new note, trimmed."""
    if not isinstance(data, dict):
        raise InvalidInput({"title": "expected an object with a title"})
    fields = {"title": data.get("title", ""), "body": data.get("body", "")}
    faults = dict.fromkeys(data.keys() - fields.keys(), "unknown field")
    for name, maximum in {"title": TITLE_MAX, "body": BODY_MAX}.items():
        try:
            fields[name] = read_text(fields[name], maximum)
        except ValueError as error:
            faults[name] = str(error)
    if fields["title"] == "":
        faults["title"] = "expected a title"
    if faults:
        raise InvalidInput(faults)
    return fields


def read_text(value: Any, maximum: int) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    # A browser sends its line breaks as CRLF but counts each as one character.
    text = value.replace("\r\n", "\n").strip()
    if len(text) > maximum:
        raise ValueError(f"expected at most {maximum:,} characters")
    # JSON can carry both, PostgreSQL takes neither: NUL, and halves of a surrogate pair.
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("expected valid Unicode without NUL")
    return text


def read_page() -> tuple[int, int]:
    """?page= and ?per_page=, within bounds."""
    bounds = {"page": (1, 1_000_000), "per_page": (20, 100)}
    numbers, faults = {}, {}
    for name, (default, maximum) in bounds.items():
        value = request.args.get(name, str(default))
        if value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= maximum:
            numbers[name] = int(value)
        else:
            faults[name] = f"expected a number from 1 to {maximum:,}"
    if faults:
        raise InvalidInput(faults)
    return numbers["page"], numbers["per_page"]
