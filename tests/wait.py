"""Waits are conditions with a deadline, never sleeps of a guessed length."""

import time


def until(condition, *, within: float, what: str = ""):
    """Call `condition` until it returns something true, and return that.

    An AssertionError or OSError raised meanwhile counts as "not yet". Fails after `within` seconds,
    saying what was last seen. A call that is under way then is waited for, and may still succeed.
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
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or condition}; last seen: {seen!r}")
        time.sleep(min(max(0.1, time.monotonic() - started), 1))  # what is waited for has the processor as long
