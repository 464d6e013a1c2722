"""Work is ordered faster than it is done, and Redis has no room for it."""

import pytest

from tests.stack.test_background import await_done, order

pytestmark = pytest.mark.long

FILL = "-r 1400 rpush filler $(head -c 100000 /dev/zero | tr '\\0' x)"  # 140 MB, of which 128 fit


def test_while_redis_is_full_orders_are_refused_and_all_else_goes_on(attacked):
    attacked.redis("del celery")  # what the attacks before have left
    attacked.sql("UPDATE probe_job SET state = 'done' WHERE state = 'queued'")
    await_done(attacked, order(attacked))
    under_way = [order(attacked) for _ in range(3)]
    with attacked.watched() as durations:
        attacked.redis(FILL)
        attacked.redis("bgrewriteaof")
        attacked.redis("config set maxmemory 100mb")  # full it stays, while the memory of connections comes and goes
        try:
            refused = attacked.site.request("POST", "/api/jobs")
            assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
            assert attacked.site.get("/").status == 200
            assert attacked.site.post_json("/api/items", {"name": "meanwhile"}).status == 201
            for job in under_way:
                await_done(attacked, job)
            assert attacked.sql("SELECT count(*) FROM probe_job WHERE state <> 'done'") == "0"
        finally:
            attacked.redis("del filler")
            attacked.redis("config set maxmemory 128mb")
        await_done(attacked, order(attacked))
    assert max(durations) < 3
