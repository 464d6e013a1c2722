import logging
from types import SimpleNamespace

import pytest
from redis import BusyLoadingError, OutOfMemoryError, ReadOnlyError, ResponseError
from redis import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, NoPermissionError

from flagstone.cache import ForgivingRedisCache, Serializer, cache_backend, cache_state
from flagstone.extensions import cache


class FakeRedis:
    """As much of Redis as the cache uses, with a plug to pull, commands that it refuses, and a hook around each."""

    def __init__(self):
        self.data, self.calls, self.plugged, self.refused = {}, 0, True, {}
        self.hook = lambda command: None

    def __getattr__(self, command):
        def run(*args, **kwargs):
            self.calls += 1
            self.hook(command)
            if not self.plugged:
                raise RedisConnectionError("unplugged")
            if command in self.refused:
                raise self.refused[command]
            answer = getattr(self, f"do_{command}")(*args, **kwargs)
            self.hook(command)
            return answer

        return run

    def do_ping(self):
        return True

    def do_get(self, name):
        return self.data.get(name)

    def do_mget(self, names):
        return [self.data.get(name) for name in names]

    def do_set(self, name, value, ex=None):
        self.data[name] = value
        return True

    def do_pipeline(self, transaction):
        todo = []
        run = lambda: [self.set(**options) for options in todo]  # noqa: E731
        return SimpleNamespace(set=lambda **options: todo.append(options), execute=run)

    def do_exists(self, name):
        return name in self.data

    def do_delete(self, *names):
        return sum(self.data.pop(name, None) is not None for name in names)

    do_unlink = do_delete

    def do_scan_iter(self, match, count):
        return [name for name in self.data if name.startswith(match.rstrip("*"))]


@pytest.fixture
def redis():
    return FakeRedis()


@pytest.fixture
def forgiving(redis, monkeypatch):
    monkeypatch.setattr(ForgivingRedisCache, "RETRY_SECONDS", 0.01)
    forgiving = ForgivingRedisCache(redis, key_prefix="app:")
    forgiving.serializer = Serializer()
    return forgiving


def plug_in(redis, forgiving):
    redis.plugged = True
    forgiving.recovery.join(timeout=60)
    assert not forgiving.lost


def test_what_is_cached_is_found_under_the_prefix_of_the_app(forgiving, redis):
    forgiving.set("key", {"a": [1, "b"]})
    assert forgiving.get("key") == {"a": [1, "b"]}
    assert list(redis.data) == ["app:key"]


def test_nothing_that_could_run_code_is_read_from_redis(forgiving, redis):
    redis.data["app:key"] = b"!\x80\x05K*."  # a pickle of 42
    assert forgiving.get("key") is None


def test_a_lost_redis_is_a_miss(forgiving, redis):
    redis.plugged = False
    assert forgiving.get("key") is None
    assert forgiving.get_many("a", "b") == [None, None]
    assert not forgiving.set("key", 1)
    assert forgiving.set_many({"key": 1}) == []
    assert not forgiving.delete("key")
    assert forgiving.delete_many("key") == []
    assert not forgiving.has("key")
    assert not forgiving.add("key", 1)
    assert forgiving.inc("key") is None
    assert not forgiving.clear()
    assert not forgiving.ping()


def test_an_outage_is_logged_once_and_its_end_once(forgiving, redis, caplog):
    caplog.set_level(logging.WARNING)
    redis.plugged = False
    for _ in range(20):
        forgiving.get("key")
    forgiving.mark_lost(RedisConnectionError("of a request that was under way"))
    plug_in(redis, forgiving)
    messages = [record.message for record in caplog.records if record.name == "flagstone.cache"]
    assert messages == ["The cache is lost, the app goes on without it: unplugged", "The cache is back"]


def test_no_request_waits_for_a_redis_that_is_known_to_be_lost(forgiving, redis, monkeypatch):
    monkeypatch.setattr(ForgivingRedisCache, "RETRY_SECONDS", 60)
    redis.plugged = False
    forgiving.get("key")
    calls = redis.calls
    for _ in range(20):
        forgiving.get("key")
    assert redis.calls == calls


def test_what_was_cached_before_an_outage_is_not_served_after_it(forgiving, redis):
    forgiving.set("list", ["old"])
    redis.data["other:key"] = b"1"
    redis.plugged = False
    forgiving.delete("list")  # lost
    plug_in(redis, forgiving)
    assert forgiving.get("list") is None
    assert "other:key" in redis.data


@pytest.mark.parametrize("error", [BusyLoadingError, ReadOnlyError, MasterDownError, TimeoutError])
def test_one_that_loads_its_data_or_is_a_replica_is_lost_too(forgiving, redis, error):
    redis.data["app:list"] = b'"old"'
    redis.refused = dict.fromkeys(("get", "ping"), error("for now"))
    assert forgiving.get("list") is None
    assert forgiving.lost
    redis.refused = {}
    plug_in(redis, forgiving)
    assert redis.data == {}


def test_a_command_that_it_refuses_is_a_miss_and_costs_nothing_that_is_cached(forgiving, redis, caplog):
    forgiving.set("list", [1])
    redis.refused = {"get": ResponseError("WRONGTYPE"), "mget": NoPermissionError("NOPERM"), "exists": ResponseError()}
    for _ in range(20):
        assert forgiving.get("list") is None
        assert forgiving.get_many("list", "other") == [None, None]
        assert not forgiving.has("list")
    redis.refused = {}
    assert not forgiving.lost
    assert forgiving.get("list") == [1]
    assert len([record for record in caplog.records if record.name == "flagstone.cache"]) == 1, "once a minute"


def test_at_its_limit_of_memory_nothing_is_flushed_and_nothing_out_of_date_is_served(forgiving, redis):
    """Redis refuses what needs memory, and still reads and deletes."""
    for key in ("one", "two", "three", "kept"):
        forgiving.set(key, "old")
    redis.refused = {"set": OutOfMemoryError("OOM"), "incr": OutOfMemoryError("OOM")}
    assert not forgiving.set("one", "new")
    assert forgiving.set_many({"two": "new"}) == []  # so does delete_memoized()
    assert forgiving.inc("three") is None
    assert not forgiving.lost
    assert redis.data == {"app:kept": b'"old"'}


@pytest.mark.parametrize("invalidate", ["delete", "delete_many", "unlink", "clear", "set"])
@pytest.mark.parametrize("error", [ResponseError("MISCONF"), NoPermissionError("NOPERM"), OSError("reset")])
def test_an_invalidation_that_fails_is_made_up_for(forgiving, redis, invalidate, error):
    forgiving.set("list", "old")
    redis.refused = dict.fromkeys(("set", "delete", "unlink", "scan_iter"), error)
    getattr(forgiving, invalidate)(*{"clear": [], "set": ["list", "new"]}.get(invalidate, ["list"]))
    assert forgiving.get("list") is None
    redis.refused = {}
    plug_in(redis, forgiving)
    assert forgiving.get("list") is None


def test_delete_many_does_not_mind_that_another_process_writes_meanwhile(forgiving, redis):
    forgiving.set("key", 1)
    redis.hook = lambda command: command == "exists" and redis.data.update({"app:key": b"2"})
    assert forgiving.delete_many("key") == ["key"]


@pytest.mark.parametrize("invalidate", [lambda cache: cache.delete("list"), lambda cache: cache.set("list", "new")])
@pytest.mark.parametrize("lost_again", [False, True])
@pytest.mark.parametrize("moment", range(6))
def test_no_invalidation_is_dropped_while_redis_comes_back(forgiving, redis, invalidate, lost_again, moment):
    """Before or after one command of the recovery another process caches what is old, and this one invalidates it."""
    redis.data["app:another"] = b"1"
    redis.plugged = False
    forgiving.delete("list")
    moments = []

    def meanwhile(command):
        moments.append(command)
        if len(moments) == moment + 1:
            redis.data["app:list"] = b'"old"'
            redis.plugged = not lost_again
            invalidate(forgiving)
            redis.plugged = True

    redis.hook = meanwhile
    plug_in(redis, forgiving)
    assert len(moments) >= 6
    redis.hook = lambda command: None
    assert forgiving.get("list") in (None, "new")


def test_the_app_starts_and_serves_without_redis(make_app):
    app = make_app(REDIS_URL="redis://127.0.0.1:1", REDIS_PASSWORD="hunter2")
    with app.app_context():
        assert (cache_state(), cache_backend()) == ("degraded", "redis")
        assert isinstance(cache.cache.serializer, Serializer)
    client = app.test_client()
    assert client.post("/api/items", json={"name": "one"}).status_code == 201
    assert client.get("/api/items").json["total"] == 1
    health = client.get("/health")
    assert (health.status_code, health.json["status"], health.json["cache"]) == (200, "degraded", "degraded")


def test_the_cache_in_memory_is_ok(app):
    with app.app_context():
        assert (cache_state(), cache_backend()) == ("ok", "memory")
