"""Work is ordered faster than it is done, and Redis has no room for it."""

from concurrent.futures import ThreadPoolExecutor

from app.reports.model import UNFINISHED_MAX
from tests.stack.test_background import await_done, order, redis, sql
from tests.wait import until

CROWD = 20
FILL = "-r 1400 rpush filler $(head -c 100000 /dev/zero | tr '\\0' x)"  # 140 MB, of which 128 fit


def test_of_orders_at_the_same_moment_no_more_are_taken_than_a_user_may_have(attacked):
    user = attacked.stranger.sign_up("hasty@example.test")
    lock = """SELECT 1 FROM "user" WHERE email = 'hasty@example.test' FOR UPDATE; SELECT pg_sleep(3)"""
    locked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with attacked.without("worker"), ThreadPoolExecutor(CROWD + 1) as pool:
        released = pool.submit(sql, attacked, lock)  # then all orders are at the same point
        until(lambda: sql(attacked, locked) == "1", within=10)
        answers = list(pool.map(user.request, ["POST"] * CROWD, ["/api/reports"] * CROWD))
        released.result()
        statuses = sorted(answer.status for answer in answers)
        sql(attacked, "DELETE FROM report")
    assert statuses == [202] * UNFINISHED_MAX + [429] * (CROWD - UNFINISHED_MAX)


def test_while_redis_is_full_orders_are_refused_and_all_else_goes_on(attacked):
    under_way = [order(attacked) for _ in range(3)]
    with attacked.watched() as durations:
        redis(attacked, FILL)
        redis(attacked, "bgrewriteaof")
        redis(attacked, "config set maxmemory 100mb")  # full it stays, while the memory of connections comes and goes
        try:
            refused = attacked.site.request("POST", "/api/reports")
            assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
            assert attacked.site.get("/").status == 200
            assert attacked.site.post_json("/api/notes", {"title": "meanwhile"}).status == 201
            for status in under_way:
                await_done(attacked, status)
            assert sql(attacked, "SELECT count(*) FROM report WHERE state <> 'done'") == "0"
        finally:
            redis(attacked, "del filler")
            redis(attacked, "config set maxmemory 128mb")
        await_done(attacked, order(attacked))
    assert max(durations) < 3
