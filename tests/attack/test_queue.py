"""Work is ordered faster than it is done, and Redis has no room for it."""

from concurrent.futures import ThreadPoolExecutor

from app.reports.model import UNFINISHED_MAX
from tests.stack.test_background import sql
from tests.wait import until

CROWD = 20


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
