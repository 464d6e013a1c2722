"""Work that waits for the disk, which may be slow, and not the other requests with it."""

import sys
from collections.abc import Callable
from typing import Any


def on_disk(work: Callable[..., Any], *args: Any) -> Any:
    """What `work` returns, from a thread of the system. Without gevent, which has no files of its own, at once."""
    monkey = sys.modules.get("gevent.monkey")
    if not monkey or not monkey.is_module_patched("time"):
        return work(*args)
    result, error = sys.modules["gevent"].get_hub().threadpool.apply(attempt, (work, *args))
    if error:
        raise error
    return result


def attempt(work: Callable[..., Any], *args: Any) -> tuple[Any, Exception | None]:
    """gevent would print an exception before it hands it on."""
    try:
        return work(*args), None
    except Exception as error:
        return None, error
