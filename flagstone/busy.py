"""More comes than can be served: nginx refuses the rest, before those who wait have given up.

nginx says in X-Request-Start when it handed a request on. Where none was begun in time for a while, a file in the
folder that it shares with us has it answer with a 503 by itself (nginx/site/busy.conf), until those who wait have been
served. A refusal by us would cost several times as much.
"""

import logging
import os
import time
from collections import deque
from contextlib import suppress

from flagstone.live import FOLDER

FILE = FOLDER / "busy"
LATE = 0.5  # seconds that a request waits until it is begun
SPELL = 0.25  # seconds in which none was in time: a hiccup is no crowd
CROWD = 16  # that the process begins while one waits: behind fewer of them it is the machine that has no time
LAST = 0.1  # seconds: the youngest of those who wait, when the next ones may come
FORGOTTEN = 3  # seconds after which a file is nobody's: who made it looks after it each second
SILENCE = 60  # seconds from one line in the log to the next
NEVER = float("inf")

logger = logging.getLogger(__name__)


class Gate:
    """Of one process; all of them begin what is next in the same queue."""

    def __init__(self) -> None:
        self.late_since = self.closed_at = NEVER
        self.told_at = 0.0
        self.began = deque([0.0] * CROWD, maxlen=CROWD)

    def begin(self, came_at: float) -> None:
        """A request is begun that nginx has handed on at that time."""
        now, few = time.time(), self.began[0] < came_at
        self.began.append(now)
        if came_at > self.closed_at - LAST:
            self.open()
        if few or now - came_at < LATE:
            self.late_since = NEVER
        elif self.late_since == NEVER:
            self.late_since = now
        elif now > self.late_since + SPELL and self.closed_at == NEVER:
            self.close(now)

    def close(self, now: float) -> None:
        self.closed_at = now
        with suppress(OSError):
            FILE.touch()
        if now > self.told_at + SILENCE:
            self.told_at = now
            logger.warning("More comes than can be served: nginx refuses the rest, time and again")

    def open(self) -> None:
        self.late_since = self.closed_at = NEVER
        FILE.unlink(missing_ok=True)

    def look(self) -> None:
        """Each second, so that nobody is refused because of a queue that has ended, or a process that has."""
        now = time.time()
        with suppress(FileNotFoundError):
            if self.closed_at != NEVER:
                os.utime(FILE)
                if self.began[-1] < now - LATE:
                    self.open()
            elif FILE.stat().st_mtime < now - FORGOTTEN:
                FILE.unlink()
