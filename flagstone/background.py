"""Tasks in the app: each has its context, and the request id of whoever queued it.

What takes long is queued with priority=LAST: it is begun when nothing else waits. Where MESSAGES_MAX wait already, a
request that would queue one more gets a 503; tasks and the clock queue all the same, so that nothing is lost.

A task may run twice: it is acknowledged when it ends, so that one whose worker died comes back. Write it accordingly.
A worker holds what is not due yet, and Redis takes a message that is held for long for lost, so no delay is longer than
TASK_TIME_LIMIT. What has to wait longer is a row with a time, and a task of flagstone/beat.py that looks for it.
"""

from datetime import UTC, datetime
from typing import Any

import celery
from celery.exceptions import Reject, SoftTimeLimitExceeded
from celery.signals import heartbeat_sent, task_postrun, task_prerun, worker_before_create_process
from celery.utils.time import get_exponential_backoff_interval
from flask import Flask, Response, current_app, g, has_request_context
from redis import Redis
from werkzeug.exceptions import ServiceUnavailable

from flagstone.broker import FIRST, MESSAGES_MAX, QUEUE_GONE, list_length, make_queue, show_alive
from flagstone.cache import REDIS_GONE, redis_client
from flagstone.database import disconnect
from flagstone.errors import error_response
from flagstone.log_context import log_context


class Task(celery.Task):
    max_retries = 3
    default_retry_delay = 5  # seconds, when its process was killed

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.run(*args, **kwargs)
        except MemoryError as error:  # for one Celery ends the whole worker, and then the next one that gets this task
            raise RuntimeError("out of memory") from error

    def apply_async(self, *args: Any, headers: dict | None = None, **options: Any) -> Any:
        if not options.get("retries"):
            self.check_delay(**options)
        if has_request_context() and (client := redis_client()):
            self.check_room(client, options.get("priority") or FIRST)
        headers = {"request_id": log_context().get("request_id")} | (headers or {})
        # Celery would log the arguments, and they may be private.
        options = {"argsrepr": "...", "kwargsrepr": "..."} | options
        return super().apply_async(*args, headers=headers, **options)

    def check_delay(self, countdown: float | None = None, eta: datetime | None = None, **_: Any) -> None:
        delay, limit = countdown or 0, self.app.conf.task_time_limit
        if eta:
            delay = (eta - datetime.now(UTC)).total_seconds()
        if delay > limit:
            raise ValueError(f"a task can be delayed by TASK_TIME_LIMIT, {limit} s, at most: flagstone/background.py")

    def check_room(self, client: Redis, priority: int) -> None:
        try:
            length = list_length(client, priority)
        except REDIS_GONE as error:
            raise QUEUE_GONE(str(error)) from error
        if length >= MESSAGES_MAX:
            raise QUEUE_GONE(f"{length:,} tasks of priority {priority} wait, the most for requests is {MESSAGES_MAX:,}")

    def retry(self, *args: Any, countdown: float | None = None, **options: Any) -> Any:
        """Celery would drop the task when its next try cannot be queued. Here it goes back to where it came from."""
        countdown = self.backoff() if countdown is None else min(countdown, self.app.conf.task_time_limit)
        try:
            return super().retry(*args, countdown=countdown, **options)
        except Reject as rejected:
            if not isinstance(rejected.reason, (QUEUE_GONE, SoftTimeLimitExceeded)):
                raise rejected.reason from None
            raise Reject(rejected.reason, requeue=True) from None

    def backoff(self) -> int:
        """Seconds until the next try: below 1, 2, 4, ..., one time limit; at random, so that not all come at once."""
        limit = self.app.conf.task_time_limit
        return get_exponential_backoff_interval(1, self.request.retries, maximum=limit, full_jitter=True)


def init_app(app: Flask) -> None:
    if "celery" in app.extensions:  # the application's own
        return
    queue = make_queue(app.config, task_cls=Task)
    queue.set_default()
    queue.flask = app
    app.extensions["celery"] = queue
    app.register_error_handler(QUEUE_GONE, queue_gone)


def queue_gone(error: Exception) -> Response:
    current_app.logger.error("Work cannot be queued: %s", error)
    return error_response(ServiceUnavailable("Work cannot be queued at the moment, please try again.", retry_after=5))


@task_prerun.connect
def enter_app(task: Task, **_: Any) -> None:
    task.request.app_context = task.app.flask.app_context()
    task.request.app_context.push()
    g.request_id = (task.request.headers or {}).get("request_id") or task.request.id


@task_postrun.connect
def leave_app(task: Task, **_: Any) -> None:
    task.request.app_context.pop()


@heartbeat_sent.connect
def beat_heart(**_: Any) -> None:
    """The worker's main loop runs, and has a connection to Redis."""
    show_alive(celery.current_app.flask.extensions["redis"], "worker")


@worker_before_create_process.connect
def close_connections(**_: Any) -> None:
    disconnect()
