"""Waits are conditions with a deadline, never sleeps of a guessed length."""

import time

PATIENCE = 180  # seconds: for what comes at all, on a machine that does something else as well


def until(condition, *, within: float = PATIENCE, what: str = ""):
    """Call `condition` until it returns something true, and return that.

    An AssertionError or OSError raised meanwhile counts as "not yet". Fails when a call
    that began after `within` seconds did, saying what was last seen.
    """
    deadline = time.monotonic() + within
    while True:
        started = time.monotonic()
        try:
            seen = condition()
            if seen:
                return seen
        except (AssertionError, OSError) as error:
            seen = error
        if started > deadline:
            raise AssertionError(f"not within {within} s: {what or condition}; last seen: {seen!r}")
        time.sleep(min(max(0.1, time.monotonic() - started), 1))  # what is waited for has the processor as long
