"""The event loop, which all requests of a process share: what takes long runs beside it, or is logged."""

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from functools import cache
from random import randint
from typing import Any

from werkzeug.exceptions import ServiceUnavailable

logger = logging.getLogger(__name__)

WAITING = 50  # for the thread, which does about twenty of them a second
PULSE, LIMIT = 0.05, 0.1  # seconds


def beside(compute: Callable[..., Any], *arguments: Any) -> Any:
    """What `compute` returns, from a native thread while others are served; a 503 when too many wait for it.

    It must release the GIL, as a hash written in C does. Without gevent it runs here and now.
    """
    if not patched():
        return compute(*arguments)
    threads, places = thread_and_places()
    if not places.acquire(blocking=False):
        pause = randint(3, 10)  # noqa: S311 - so that not all of them come back at once
        raise ServiceUnavailable("Too many want this at once, please try again.", retry_after=pause)
    try:
        return outcome(threads, politely, compute, *arguments)
    finally:
        places.release()


def on_disk(work: Callable[..., Any], *arguments: Any) -> Any:
    """What `work` returns, which waits for the disk, from one of gevent's threads: it has no files of its own."""
    if not patched():
        return work(*arguments)
    return outcome(sys.modules["gevent"].get_hub().threadpool, work, *arguments)


def patched() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return bool(monkey and monkey.is_module_patched("time"))


def outcome(threads: Any, work: Callable[..., Any], *arguments: Any) -> Any:
    result, error = threads.apply(attempt, (work, *arguments))
    if error:
        raise error
    return result


def attempt(work: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
    """gevent would print an exception before it hands it on."""
    try:
        return work(*arguments), None
    except Exception as error:
        return None, error


@cache
def thread_and_places() -> tuple[Any, Any]:
    from gevent.lock import Semaphore
    from gevent.threadpool import ThreadPool

    return ThreadPool(1), Semaphore(WAITING)  # one thread: each hash takes 64 MB


def politely(compute: Callable[..., Any], *arguments: Any) -> Any:
    os.setpriority(os.PRIO_PROCESS, 0, 10)  # of this thread: what serves goes first
    return compute(*arguments)


class Watchdog:
    """Logs what held the loop, and for how long. docs/decisions.md says why it is not gevent's own."""

    def __init__(self) -> None:
        from gevent import sleep, spawn
        from gevent.monkey import get_original

        self.sleep, self.native_sleep = sleep, get_original("time", "sleep")
        self.thread = get_original("_thread", "get_ident")()
        self.beat, self.stack = time.monotonic(), None
        spawn(self.pulse)
        get_original("_thread", "start_new_thread")(self.look, ())

    def pulse(self) -> None:
        while True:
            self.beat, self.stack, computed = time.monotonic(), None, time.thread_time()
            self.sleep(PULSE)
            held = time.monotonic() - self.beat - PULSE
            if held > LIMIT:
                computed, stack = time.thread_time() - computed, self.stack or traceback.StackSummary()
                logger.warning(
                    "The event loop was held for %d ms, %d ms of them computing: %s",
                    held * 1000,
                    computed * 1000,
                    culprit(stack),
                    extra={"stack": "".join(stack.format())},
                )

    def look(self) -> None:
        """In a native thread: where the loop's thread is while its pulse is overdue."""
        while True:
            self.native_sleep(PULSE)
            if not self.stack and time.monotonic() - self.beat > PULSE + LIMIT:
                self.stack = traceback.extract_stack(sys._current_frames()[self.thread])


def culprit(stack: traceback.StackSummary) -> str:
    """The innermost line that no library wrote."""
    ours = [frame for frame in stack if "-packages/" not in frame.filename and "/lib/python" not in frame.filename]
    return f"{ours[-1].filename}:{ours[-1].lineno} in {ours[-1].name}" if ours else "nobody of ours"
