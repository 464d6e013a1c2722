"""A cache that may be lost: while Redis is away everything is a miss, and no request waits for it."""

import logging
import re
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Self

from cachelib.serializers import JSONSerializer
from flask import Config, Flask, current_app
from flask_caching.backends.rediscache import RedisCache
from redis import ConnectionError, ReadOnlyError, Redis, RedisError, TimeoutError
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.exceptions import MasterDownError
from redis.retry import Retry

from flagstone.extensions import cache

logger = logging.getLogger(__name__)

REDIS_GONE = (RedisError, OSError)  # whatever it may raise
# Not reached, or of no use as a whole: it loads its data (a ConnectionError, too), or is a replica for the moment.
LOST = (ConnectionError, TimeoutError, ReadOnlyError, MasterDownError, OSError)


def init_app(app: Flask) -> None:
    app.extensions["redis"] = make_client(app.config)
    config = {"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": app.config["CACHE_DEFAULT_TIMEOUT"]}
    if app.extensions["redis"]:
        config |= {"CACHE_TYPE": f"{__name__}.ForgivingRedisCache", "CACHE_SERIALIZER": Serializer}
    cache.init_app(app, config)


def make_client(config: Config, retries: int = 1) -> Redis | None:
    if not config["REDIS_URL"]:
        return None
    return Redis.from_url(
        config["REDIS_URL"],
        password=config["REDIS_PASSWORD"],
        socket_timeout=config["REDIS_TIMEOUT"],
        socket_connect_timeout=config["REDIS_TIMEOUT"],
        # Once more and at once: the connection in the pool may be from before a restart of Redis.
        retry=Retry(NoBackoff(), retries),
        # Never the bottleneck: a full pool raises the same error as a lost Redis.
        max_connections=10_000,
    )


def redis_client() -> Redis | None:
    """For what is no cache; it raises REDIS_GONE. None where no REDIS_URL is set."""
    return current_app.extensions["redis"]


def cache_backend() -> str:
    return "redis" if isinstance(cache.cache, ForgivingRedisCache) else "memory"


def cache_state() -> str:
    return "ok" if cache_backend() == "memory" or cache.cache.ping() else "degraded"


class Serializer(JSONSerializer):
    """JSON, not pickle: whoever can write to Redis must not be able to run code here."""

    def loads(self, value: bytes | None, *args: Any, **kwargs: Any) -> Any:
        return None if value is None else super().loads(value, *args, **kwargs)


def or_else(method: Callable[..., Any], fallback: Callable[..., Any]) -> Callable[..., Any]:
    """The method of the cache; what `fallback` returns while Redis is lost, or where it refuses."""

    @wraps(method)
    def tried(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.lost:
            try:
                answer = method(self, *args, **kwargs)
                if not self.lost:  # a connection made for this may have found a restarted Redis
                    return answer
            except REDIS_GONE as error:
                self.on_error(error)
        return fallback(self, *args, **kwargs)

    return tried


def invalidating(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method of the cache; a failure makes Redis lost, so that nothing out of date is served after it."""

    @wraps(method)
    def tried(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.unreachable:
            try:
                return method(self, *args, **kwargs)
            except REDIS_GONE as error:
                self.mark_lost(error)
        return None

    return tried


def nothing(*_: Any, **__: Any) -> None:
    return None


def remove(self: Any, key: str, *_: Any, **__: Any) -> None:
    """For what could not be written: what it was to replace is out of date."""
    self.unlink(key)


def remove_many(self: Any, mapping: dict[str, Any], *_: Any, **__: Any) -> list[str]:
    self.unlink(*mapping)
    return []


class ForgivingRedisCache(RedisCache):
    """Redis until it fails; then nothing, until a thread of its own finds it again, and has emptied it.

    `unreachable` is the first part of `lost`: until Redis answers, invalidations are dropped, for it will be emptied.
    While it is being emptied they are made, or make it unreachable once more: another process may write meanwhile.
    """

    RETRY_SECONDS = 1
    QUIET_SECONDS = 60

    @classmethod
    def factory(cls, app: Flask, config: dict, args: list, kwargs: dict) -> Self:
        forgiving = cls(app.extensions["redis"], key_prefix="app:", **kwargs)
        app.extensions["redis"].connection_pool.connection_kwargs["redis_connect_func"] = forgiving.on_connect
        return forgiving

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.lost = self.unreachable = False
        self.lock = threading.Lock()
        self.run_id = None
        self.quiet_until = 0.0

    def on_connect(self, connection: AbstractConnection) -> None:
        """For each new connection. A restarted Redis kept its data but missed invalidations: it counts as lost."""
        connection.on_connect()
        connection.send_command("INFO", "server")
        run_id = re.findall(r"run_id:(\w+)", str(connection.read_response()))
        if self.run_id not in (None, run_id):
            self.mark_lost(RedisError("it has restarted"))
        self.run_id = run_id

    def on_error(self, error: Exception) -> None:
        if isinstance(error, LOST):
            self.mark_lost(error)
        elif time.monotonic() > self.quiet_until:
            self.quiet_until = time.monotonic() + self.QUIET_SECONDS
            # A pipeline quotes what it was to write.
            logger.warning("Redis refuses what the cache asks: %s", str(error).rpartition("caused error: ")[2])

    def mark_lost(self, error: Exception) -> None:
        with self.lock:
            self.unreachable = True
            if self.lost:
                return
            self.lost = True
        logger.warning("The cache is lost, the app goes on without it: %s", error)
        self.recovery = threading.Thread(target=self.recover, daemon=True)
        self.recovery.start()

    def recover(self) -> None:
        while True:
            time.sleep(self.RETRY_SECONDS)
            try:
                self._write_client.ping()
                self.unreachable = False  # before it is emptied: what was dropped until now is in that
                self.remove_all()
            except REDIS_GONE:
                self.unreachable = True
                continue
            with self.lock:
                self.lost = self.unreachable
                if not self.lost:
                    break
        logger.warning("The cache is back")

    def remove_all(self) -> bool:
        # SCAN, because KEYS blocks Redis, longer than our time-out when there are many.
        keys = list(self._write_client.scan_iter(f"{self.key_prefix}*", count=1000))
        return bool(keys and self._write_client.unlink(*keys))

    get = or_else(RedisCache.get, nothing)
    get_many = or_else(RedisCache.get_many, lambda self, *keys: [None] * len(keys))
    has = or_else(RedisCache.has, nothing)
    ping = or_else(lambda self: self._write_client.ping(), nothing)

    set = or_else(RedisCache.set, remove)
    set_many = or_else(RedisCache.set_many, remove_many)
    add = or_else(RedisCache.add, remove)
    inc = or_else(RedisCache.inc, remove)
    dec = or_else(RedisCache.dec, remove)

    delete = invalidating(RedisCache.delete)
    unlink = invalidating(RedisCache.unlink)
    clear = invalidating(remove_all)

    def delete_many(self, *keys: str) -> list[str]:
        # cachelib looks afterwards, and raises when another process has written meanwhile.
        return list(keys) if self.unlink(*keys) else []
