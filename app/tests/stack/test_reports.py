"""A report is written in the background, for whoever ordered it."""

import csv
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from app.reports.model import UNFINISHED_MAX
from app.tests.stack.conftest import USER, sign_up
from tests.stack.conftest import edited
from tests.stack.test_background import LAST, await_done, await_progress
from tests.wait import until

CROWD = 20
QUEUE_LOST = "app.reports.tasks.queue_lost"


def order(stack):
    """The path of the status of a new report."""
    answer = stack.site.request("POST", "/api/reports")
    assert answer.status == 202
    assert answer.headers["Location"] == answer.json["status"]
    return urlsplit(answer.json["status"]).path


def test_a_report_is_ordered_followed_and_downloaded(stack):
    stack.site.post_json("/api/notes", {"title": "in the report"})

    def followed():
        status = order(stack)
        under_way = 0 < await_progress(stack, status, 10)["progress"] < 100
        report = await_done(stack, status)
        return under_way and report

    report = until(followed, what="one that is under way")
    file = stack.site.get(report["download"])
    assert (file.status, file.headers.get_content_type()) == (200, "text/csv")
    assert file.headers.get_content_disposition() == "attachment"
    assert "in the report" in [row["title"] for row in csv.DictReader(file.text.splitlines())]


def test_one_that_is_not_done_is_no_download(prod):
    status = order(prod)
    assert prod.site.get(f"{status}/download").status == 409
    await_done(prod, status)


def test_a_report_is_its_owners_only(prod):
    status = order(prod)
    await_done(prod, status)
    other = sign_up(prod.stranger, "other@example.test")
    for path in (status, f"{status}/download"):
        assert [site.get(path).status for site in (prod.site, other, prod.stranger)] == [200, 404, 401]
    assert prod.stranger.request("POST", "/api/reports").status == 401


def test_the_page_has_no_inline_script(stack):
    page = stack.site.get("/reports").text
    assert page.count("<script") == page.count('<script type="module" src="/static/')
    assert page.count("</script>") == 1
    assert "style=" not in page
    assert stack.site.get("/static/reports.js").status == 200


def test_a_job_that_was_never_queued_or_that_redis_lost_is_queued_again(prod):
    with prod.without("worker"):
        waits, lost = order(prod), order(prod)
        prod.redis("lpop", LAST)
        prod.sql("UPDATE report SET created_at = created_at - interval '2 minutes' WHERE state = 'queued'")
        prod.exec("app", "celery", "--quiet", "--app", "flagstone.worker", "call", QUEUE_LOST)
    for status in (waits, lost):
        await_done(prod, status)
    said = prod.said("worker")
    assert [f"Report {status[-36:]} was lost" in said for status in (waits, lost)] == [False, True]


def test_an_order_while_the_queue_is_away_is_refused_and_leaves_nothing(prod):
    before = prod.sql("SELECT count(*) FROM report")
    with prod.without("redis"):
        answer = prod.site.request("POST", "/api/reports")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert prod.stranger.post_form("/login", **USER).status == 303, "all else goes on"
    assert prod.sql("SELECT count(*) FROM report") == before


def test_expired_reports_are_deleted_by_the_clock(dev):
    """Beat queues it and the worker does it; here every second."""
    status = order(dev)
    await_done(dev, status)
    dev.sql("UPDATE report SET created_at = created_at - interval '1 year'")
    try:
        with edited(dev.folder / "app/schedule.py", 'crontab(minute="*/10")', "1.0"):
            dev.compose("restart", "beat")
            until(lambda: dev.site.get(status).status == 404)
    finally:
        dev.compose("restart", "beat")


def test_of_orders_at_the_same_moment_no_more_are_taken_than_a_user_may_have(prod):
    user = sign_up(prod.stranger, "hasty@example.test")
    lock = """SELECT 1 FROM "user" WHERE email = 'hasty@example.test' FOR UPDATE; SELECT pg_sleep(5)"""
    locked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with prod.without("worker"), ThreadPoolExecutor(CROWD + 1) as pool:
        released = pool.submit(prod.sql, lock)  # then all orders are at the same point
        until(lambda: prod.sql(locked) == "1")
        answers = list(pool.map(user.request, ["POST"] * CROWD, ["/api/reports"] * CROWD))
        released.result()
        statuses = sorted(answer.status for answer in answers)
        prod.sql("DELETE FROM report")
    assert statuses == [202] * UNFINISHED_MAX + [429] * (CROWD - UNFINISHED_MAX)
