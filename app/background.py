"""Background work: Celery, with its queue in Redis. What a task has done is in the database; no result is kept.

A task runs in the app's context, with the request id of whoever queued it.
A task may run twice: it is acknowledged when it ends, so that one whose worker died comes back. Write it accordingly.
"""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

import celery
from celery import Celery
from celery.signals import heartbeat_sent, setup_logging, task_postrun, task_prerun, worker_process_init
from celery.utils.time import get_exponential_backoff_interval
from flask import Flask, Response, current_app, g
from kombu.exceptions import OperationalError
from werkzeug.exceptions import ServiceUnavailable

from app.errors import answer
from app.extensions import db
from app.request_id import context

QUEUE_GONE = OperationalError
# Its age is the health check of the worker and of beat.
HEARTBEAT = Path("/tmp/heartbeat")  # noqa: S108 - the container's own tmpfs
# Once more and at once: the connection may be from before a restart of Redis.
ONCE_MORE = {"max_retries": 1, "interval_start": 0, "interval_step": 0}


class Task(celery.Task):
    max_retries = 3
    default_retry_delay = 5  # seconds

    def apply_async(self, *args: Any, headers: dict | None = None, **options: Any) -> Any:
        headers = {"request_id": context().get("request_id")} | (headers or {})
        # Celery would log the arguments, and they may be private.
        options = {"argsrepr": "...", "kwargsrepr": "..."} | options
        return super().apply_async(*args, headers=headers, **options)

    def backoff(self) -> int:
        """Seconds until the next try: below 1, 2, 4, ..., one time limit; at random, so that not all come at once."""
        limit = current_app.config["TASK_TIME_LIMIT"]
        return get_exponential_backoff_interval(1, self.request.retries, maximum=limit, full_jitter=True)


def init_app(app: Flask) -> None:
    queue = make_queue(app, task_cls=Task)
    queue.set_default()
    queue.flask = app
    app.extensions["celery"] = queue
    app.register_error_handler(QUEUE_GONE, queue_gone)


def make_queue(app: Flask, **options: Any) -> Celery:
    url, limit = app.config["REDIS_URL"], app.config["TASK_TIME_LIMIT"]
    queue = Celery("app", **options)
    queue.conf.update(
        broker_url=with_password(url, app.config["REDIS_PASSWORD"]) if url else "memory://",
        broker_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED} if url and url.startswith("rediss:") else None,
        broker_connection_timeout=app.config["REDIS_TIMEOUT"],
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # the worker waits for Redis for as long as it is away
        broker_pool_limit=1000,  # never what a request waits for
        broker_transport_options={
            # Whoever has not acknowledged a message for so long is dead. Alive, it may wait for the time of a retry,
            # then for a free process, and then work: each at most one limit.
            "visibility_timeout": 3 * limit,
            "unacked_restore_throttle": 1,  # look every 10 seconds, not every 100
            "health_check_interval": 10,
            "socket_timeout": app.config["REDIS_TIMEOUT"],
            "socket_connect_timeout": app.config["REDIS_TIMEOUT"],
            **ONCE_MORE,
        },
        task_publish_retry_policy=ONCE_MORE,
        task_always_eager=not url,
        task_ignore_result=True,
        accept_content=["json"],  # nothing that could run code
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_retry_on_worker_lost=True,  # its process was killed: again, but not for ever
        task_time_limit=limit,
        task_soft_time_limit=0.9 * limit,  # an exception first, so that the task can clean up
        worker_concurrency=app.config["WORKER_PROCESSES"],
        worker_prefetch_multiplier=1,
        worker_max_tasks_per_child=1000,
        worker_enable_remote_control=False,
        worker_redirect_stdouts=False,
    )
    return queue


def with_password(url: str, password: str | None) -> str:
    scheme, _, rest = url.partition("://")
    user, _, host = rest.rpartition("@")
    return f"{scheme}://{user}:{quote(password, safe='')}@{host}" if password else url


@setup_logging.connect
def keep_our_log(**_: Any) -> None:
    """Celery leaves the log alone when somebody answers this signal."""


def queue_gone(error: Exception) -> Response:
    current_app.logger.error("The queue is away: %s", error)
    return answer(ServiceUnavailable("Work cannot be queued at the moment, please try again.", retry_after=5))


@task_prerun.connect
def enter_app(task: Task, **_: Any) -> None:
    task.request.app_context = task.app.flask.app_context()
    task.request.app_context.push()
    g.request_id = (task.request.headers or {}).get("request_id") or task.request.id


@task_postrun.connect
def leave_app(task: Task, **_: Any) -> None:
    task.request.app_context.pop()


@heartbeat_sent.connect
def touch_heartbeat(**_: Any) -> None:
    """The worker's main loop runs, and has a connection to Redis."""
    HEARTBEAT.touch()


@worker_process_init.connect
def forget_connections(**_: Any) -> None:
    """Those that the first process has open are not for its children."""
    with celery.current_app.flask.app_context():
        db.engine.dispose(close=False)
