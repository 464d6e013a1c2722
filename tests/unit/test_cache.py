import logging

import pytest
from redis import ConnectionError as RedisConnectionError

from app.cache import ForgivingRedisCache, Serializer, cache_backend, cache_state
from app.extensions import cache
from tests.unit.conftest import sign_up


class FakeRedis:
    """As much of Redis as the cache uses, with a plug to pull."""

    def __init__(self):
        self.data, self.calls, self.plugged = {}, 0, True

    def __getattr__(self, command):
        def run(*args, **kwargs):
            self.calls += 1
            if not self.plugged:
                raise RedisConnectionError("unplugged")
            return getattr(self, f"do_{command}")(*args, **kwargs)

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
    forgiving.recovery.join(timeout=5)
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
    forgiving.lose(RedisConnectionError("of a request that was under way"))
    plug_in(redis, forgiving)
    messages = [record.message for record in caplog.records if record.name == "app.cache"]
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


def test_the_app_starts_and_serves_without_redis(make_app):
    app = make_app(REDIS_URL="redis://127.0.0.1:1", REDIS_PASSWORD="hunter2")
    with app.app_context():
        assert (cache_state(), cache_backend()) == ("degraded", "redis")
        assert isinstance(cache.cache.serializer, Serializer)
    client = sign_up(app.test_client())
    assert client.post("/api/notes", json={"title": "one"}).status_code == 201
    assert client.get("/api/notes").json["total"] == 1
    health = client.get("/health")
    assert (health.status_code, health.json["status"], health.json["cache"]) == (200, "degraded", "degraded")


def test_the_cache_in_memory_is_ok(app):
    with app.app_context():
        assert (cache_state(), cache_backend()) == ("ok", "memory")
