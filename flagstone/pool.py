"""SQLAlchemy's pool of connections, whose waiters come in turn.

In its own, a connection that comes back goes to whoever asks first. While the waiter who was told of it wakes up, that
may be another one; then he waits anew, behind all others. In a crowd the unlucky wait three times as long as in turn.
"""

import threading
from collections import deque
from typing import Any

from sqlalchemy.pool import QueuePool
from sqlalchemy.util import queue


class InTurn(queue.Queue):
    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.turns: deque[threading.Condition] = deque()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        with self.mutex:
            if self._qsize() and not self.turns:
                return self._get()
            if not block:
                raise queue.Empty
            turn = threading.Condition(self.mutex)
            self.turns.append(turn)
            try:
                if not turn.wait_for(lambda: self.turns[0] is turn and self._qsize(), timeout):
                    raise queue.Empty
                return self._get()
            finally:
                self.turns.remove(turn)
                self.call()

    def _put(self, item: Any) -> None:
        super()._put(item)
        self.call()

    def call(self) -> None:
        if self.turns and self._qsize():
            self.turns[0].notify()


class Pool(QueuePool):
    _queue_class = InTurn
