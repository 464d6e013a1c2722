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
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.retry import Retry

from app.extensions import cache

logger = logging.getLogger(__name__)

REDIS_GONE = (RedisError, OSError)


def init_app(app: Flask) -> None:
    app.extensions["redis"] = connect(app.config)
    config = {"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": app.config["CACHE_DEFAULT_TIMEOUT"]}
    if app.extensions["redis"]:
        config |= {"CACHE_TYPE": f"{__name__}.ForgivingRedisCache", "CACHE_SERIALIZER": Serializer}
    cache.init_app(app, config)


def connect(config: Config, retries: int = 1) -> Redis | None:
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


def or_miss(method: Callable[..., Any], miss: Callable[..., Any]) -> Callable[..., Any]:
    """The method of the cache, with the answer of an empty one while Redis is away."""

    @wraps(method)
    def forgiving(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.lost:
            try:
                answer = method(self, *args, **kwargs)
                if not self.lost:
                    return answer
            except REDIS_GONE as error:
                self.lose(error)
        return miss(*args)

    return forgiving


def nothing(*_: Any) -> None:
    return None


class ForgivingRedisCache(RedisCache):
    """Redis until it fails; then nothing, until a thread of its own finds it again."""

    RETRY_SECONDS = 1

    @classmethod
    def factory(cls, app: Flask, config: dict, args: list, kwargs: dict) -> Self:
        forgiving = cls(app.extensions["redis"], key_prefix="app:", **kwargs)
        app.extensions["redis"].connection_pool.connection_kwargs["redis_connect_func"] = forgiving.greet
        return forgiving

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.lost = False
        self.lock = threading.Lock()
        self.run_id = None

    def greet(self, connection: AbstractConnection) -> None:
        """Each new connection. A restarted Redis has kept its data, of before what it missed, so it counts as lost."""
        connection.on_connect()
        connection.send_command("INFO", "server")
        run_id = re.findall(r"run_id:(\w+)", str(connection.read_response()))
        if self.run_id not in (None, run_id):
            self.lose(RedisError("it has restarted"))
        self.run_id = run_id

    def lose(self, error: Exception) -> None:
        with self.lock:
            if self.lost:
                return
            self.lost = True
        logger.warning("The cache is lost, the app goes on without it: %s", error)
        self.recovery = threading.Thread(target=self.recover, daemon=True)
        self.recovery.start()

    def recover(self) -> None:
        while self.lost:
            time.sleep(self.RETRY_SECONDS)
            try:
                # What was written meanwhile could not be invalidated, so nothing older may be served.
                self.remove_all()
                self.lost = False
            except REDIS_GONE:
                continue
        logger.warning("The cache is back")

    def remove_all(self) -> bool:
        # SCAN, because KEYS blocks Redis, longer than our time-out when there are many.
        keys = list(self._write_client.scan_iter(f"{self.key_prefix}*", count=1000))
        return bool(keys and self._write_client.unlink(*keys))

    get = or_miss(RedisCache.get, nothing)
    get_many = or_miss(RedisCache.get_many, lambda *keys: [None] * len(keys))
    has = or_miss(RedisCache.has, nothing)
    set = or_miss(RedisCache.set, nothing)
    set_many = or_miss(RedisCache.set_many, lambda *_: [])
    add = or_miss(RedisCache.add, nothing)
    inc = or_miss(RedisCache.inc, nothing)
    dec = or_miss(RedisCache.dec, nothing)
    delete = or_miss(RedisCache.delete, nothing)
    delete_many = or_miss(RedisCache.delete_many, lambda *_: [])
    unlink = or_miss(RedisCache.unlink, nothing)
    clear = or_miss(remove_all, nothing)
    ping = or_miss(lambda self: self._write_client.ping(), nothing)
