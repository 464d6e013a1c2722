"""What a client may send. Whatever passes here fits the database."""

from functools import lru_cache
from typing import Any

from flask import Flask, abort, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.sansio.utils import get_current_url

from flagstone.errors import InvalidInput

# Larger than any valid form or JSON document here, in any encoding. A view that needs more sets
# request.max_content_length, or takes files (flagstone/incoming.py).
REQUEST_MAX = 128 * 1024
PAGING = {"page": (1, 1_000_000), "per_page": (20, 100)}  # what is taken where nothing is said, and the most


class StrictJSON(DefaultJSONProvider):
    """JSON in which no field stands twice: two readers of it could each believe another one."""

    def loads(self, text: str | bytes, **options: Any) -> Any:
        return super().loads(text, object_pairs_hook=unique, **options)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(fields := dict(pairs)) < len(pairs):
        raise ValueError("a field stands twice")
    return fields


def init_app(app: Flask) -> None:
    app.json = StrictJSON(app)
    app.config |= {"MAX_FORM_MEMORY_SIZE": REQUEST_MAX, "MAX_FORM_PARTS": 100}  # a field; fields and files
    app.before_request(refuse_unreadable_address)
    app.before_request(limit_body)


def refuse_unreadable_address() -> None:
    """Where Werkzeug would fail later: raw bytes in a query that are no UTF-8, a host such as [:.:]."""
    try:
        request.query_string.decode()
        read_host(request.host)
    except ValueError:
        abort(400, "The address of this request cannot be read.")


@lru_cache(maxsize=100)
def read_host(host: str) -> None:
    """As `request.url` does. Of a whole address nothing else can fail, and hosts are few."""
    get_current_url("https", host)


def limit_body() -> None:
    request.max_content_length = REQUEST_MAX


def read_body() -> Any:
    """A JSON document, or the fields of a form."""
    if request.mimetype == "multipart/form-data":
        return request.form.to_dict()
    try:
        return request.get_json()
    except RecursionError:
        abort(400, "This JSON is nested too deeply.")


def read_fields(data: Any, limits: dict[str, tuple[Any, ...]]) -> dict[str, str]:
    """The text fields of an object, trimmed; `limits` has the least and the greatest length of each.

    Then come functions that check more, if any: each returns what is to be stored, or raises ValueError.
    """
    if not isinstance(data, dict):
        raise InvalidInput({name: "expected an object with this field" for name in limits if limits[name][0]})
    fields, faults = {}, dict.fromkeys(data.keys() - limits.keys(), "unknown field")
    for name, (minimum, maximum, *functions) in limits.items():
        try:
            fields[name] = read_text(data.get(name, ""), minimum, maximum)
            for function in functions:
                fields[name] = function(fields[name])
        except ValueError as error:
            faults[name] = str(error)
    if faults:
        raise InvalidInput(faults)
    return fields


def read_text(value: Any, minimum: int, maximum: int) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    # What is stored is measured. A browser sends its line breaks as CRLF, and counts each as one character.
    text = value.replace("\r\n", "\n").strip()
    if len(text) > maximum:
        raise ValueError(f"expected at most {maximum:,} characters")
    if len(text) < minimum:
        raise ValueError(f"expected at least {minimum} characters" if text else "expected some text")
    # JSON can carry both, PostgreSQL takes neither: NUL, and halves of a surrogate pair.
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("expected valid Unicode without NUL")
    return text


def read_page() -> tuple[int, int]:
    """?page= and ?per_page=, within bounds."""
    numbers, faults = {}, {}
    for name, (default, maximum) in PAGING.items():
        value = request.args.get(name, str(default))
        if value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= maximum:
            numbers[name] = int(value)
        else:
            faults[name] = f"expected a number from 1 to {maximum:,}"
    if faults:
        raise InvalidInput(faults)
    return numbers["page"], numbers["per_page"]
