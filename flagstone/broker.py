"""The queue, in Redis, and how Celery uses it. What a task has done is in the database, so there is no result backend.

Imports no Flask: beat needs none.
"""

import ssl
import time
from bisect import bisect
from collections.abc import Mapping
from contextlib import suppress
from math import nan
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import setup_logging
from kombu.exceptions import OperationalError
from kombu.transport import virtual
from kombu.transport.redis import PRIORITY_STEPS, Channel, QoS
from redis import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from flagstone.config import with_password

QUEUE = "celery"
# What it is in Redis: a list for each priority, the first one for 0; and what workers have taken and not acknowledged.
# A worker takes from a list when all before it are empty.
LISTS = [QUEUE, *(f"{QUEUE}{Channel.sep}{step}" for step in PRIORITY_STEPS if step)]
TAKEN = Channel.unacked_key
FIRST, LAST = PRIORITY_STEPS[0], PRIORITY_STEPS[-1]
MESSAGES_MAX = 1_000  # in one list; beyond it requests queue no more
QUEUE_GONE = OperationalError
# Its age is the health check of the worker and of beat.
HEARTBEAT = Path("/tmp/heartbeat")  # noqa: S108 - the container's own tmpfs
# The same for all of them together, in Redis: when each was last heard of.
HEARTBEATS = "celery_heartbeat"
PROCESSES = ("worker", "beat")
# Once more and at once: the connection may be from before a restart of Redis.
ONCE_MORE = {"max_retries": 1, "interval_start": 0, "interval_step": 0}


def make_queue(config: Mapping[str, Any], **options: Any) -> Celery:
    url, limit = config["REDIS_URL"], config["TASK_TIME_LIMIT"]
    queue = Celery("app", **options)
    queue.conf.update(
        broker_url=with_password(url, config["REDIS_PASSWORD"]) if url else "memory://",
        broker_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED} if url and url.startswith("rediss:") else None,
        broker_connection_timeout=config["REDIS_TIMEOUT"],
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # the worker waits for Redis for as long as it is away
        broker_pool_limit=1000,  # never what a request waits for
        broker_transport_options={
            # Whoever has not acknowledged a message for so long is dead. Alive, it may wait for the time of a retry,
            # then for a free process, and then work: each at most one limit.
            "visibility_timeout": 3 * limit,
            "unacked_restore_throttle": 1,  # look every 10 seconds, not every 100
            "health_check_interval": 10,
            "socket_timeout": config["REDIS_TIMEOUT"],
            "socket_connect_timeout": config["REDIS_TIMEOUT"],
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
        worker_concurrency=config["WORKER_PROCESSES"],
        worker_prefetch_multiplier=1,
        worker_max_tasks_per_child=1000,
        worker_enable_remote_control=False,
        worker_redirect_stdouts=False,
    )
    return queue


class ReleasingQoS(QoS):
    """The messages that a worker holds: one for each of its processes, at most.

    One that cannot be acknowledged, because Redis is away, is delivered again after the visibility time-out. kombu
    would also go on holding it, for ever, and the worker would never take another.
    """

    def append(self, message: virtual.Message, delivery_tag: str) -> None:
        """Taken it is already. Where Redis is too full to note that, it is done all the same, and its place is free."""
        try:
            super().append(message, delivery_tag)
        except OutOfMemoryError:
            virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)
        finally:
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        try:
            super().reject(delivery_tag, requeue)
        finally:
            virtual.QoS.ack(self, delivery_tag)


Channel.QoS = ReleasingQoS


def list_length(client: Redis, priority: int) -> int:
    """How many messages wait that are as urgent."""
    return client.llen(LISTS[bisect(PRIORITY_STEPS, priority) - 1])


def queue_length(client: Redis) -> int:
    with client.pipeline(transaction=False) as lengths:
        for name in LISTS:
            lengths.llen(name)
        return sum(lengths.execute())


def show_alive(client: Redis, process: str) -> None:
    HEARTBEAT.touch()
    with suppress(RedisError):  # it is full, for example: then that is the trouble
        client.hset(HEARTBEATS, process, str(time.time()))


def last_heard(client: Redis) -> dict[str, float]:
    moments = client.hmget(HEARTBEATS, PROCESSES)
    return {process: float(moment or nan) for process, moment in zip(PROCESSES, moments, strict=True)}


def all_messages(client: Redis) -> bytes:
    """What is queued and what workers have in hand, as it is in Redis at one moment."""
    with client.pipeline() as snapshot:
        snapshot.hvals(TAKEN)
        for name in LISTS:
            snapshot.lrange(name, 0, -1)
        return b"".join(message for messages in snapshot.execute() for message in messages)


@setup_logging.connect
def keep_our_log(**_: Any) -> None:
    """Celery leaves the log alone when somebody answers this signal."""
