"""A job is done in the end, whatever dies meanwhile; and a request never waits for a queue that is away."""

import time
import uuid
from contextlib import contextmanager

import pytest

from tests.shell import docker, run
from tests.stack.conftest import edited, kill
from tests.wait import until

LAST = r'''"$(printf "celery\006\0269")"'''  # the list in Redis of what is not urgent, for a shell


def order(stack):
    """The address of a new job, which takes three seconds."""
    answer = until(lambda: (taken := stack.site.request("POST", "/api/jobs")).status == 202 and taken)
    return answer.headers["Location"]


def await_progress(stack, path, percent):
    def seen():
        job = stack.site.get(path).json
        assert job["progress"] >= percent, job
        return job

    return until(seen)


def await_done(stack, path, state="done"):
    def finished():
        job = stack.site.get(path).json
        assert job["state"] == state, job
        return job

    return until(finished)


def signal_all(stack, name, *services, only=lambda pid, first: True):
    """Send a signal from the host to the processes of the services' containers."""
    pids = []
    for service in services:
        first = stack.inspect(service)["State"]["Pid"]
        listed = docker("top", stack.container(service), "-eo", "pid").split()[1:]
        pids += [pid for pid in listed if only(int(pid), first)]
    assert pids
    kill(name, *pids)


@contextmanager
def settings(stack, **changed):
    """Both who queue and who work with other settings, as an operator would set them."""
    lines = "".join(f"{name}={value}\n" for name, value in changed.items())
    try:
        with edited(".env", "## The site", f"{lines}## The site"):
            stack.compose("up", "--detach", "--wait", "--timeout", "2", "--no-deps", "app", "worker")
        stack.await_health("ok")
        yield
    finally:
        stack.compose("up", "--detach", "--wait", "--timeout", "2", "--no-deps", "app", "worker")
        stack.await_health("ok")


def messages(stack):
    """How many are queued or in the hands of a worker."""
    return sum(int(stack.redis(*command)) for command in (("llen", "celery"), ("llen", LAST), ("hlen", "unacked")))


def test_the_log_of_the_worker_has_the_id_of_the_request(stack):
    answer = stack.site.request("POST", "/api/jobs")

    def said():
        return [line for line in stack.said("worker").splitlines() if answer.headers["X-Request-ID"] in line]

    until(lambda: any("succeeded" in line for line in said()))


@pytest.mark.long
def test_a_job_whose_process_is_killed_is_tried_again(prod):
    job = order(prod)
    await_progress(prod, job, 30)
    started = prod.inspect("worker")["State"]["StartedAt"]
    signal_all(prod, "KILL", "worker", only=lambda pid, first: pid != first)
    await_done(prod, job)
    assert prod.inspect("worker")["State"]["StartedAt"] == started


def test_killing_the_worker_in_mid_job_loses_no_job(prod):
    with settings(prod, TASK_TIME_LIMIT=8, STEP_SECONDS=0.45):
        until(lambda: state_after_a_kill(prod) == "done", within=600)


def state_after_a_kill(stack):
    """Of a job; a busy machine may need more than its time limit for it, or be done with it before the blow falls."""
    job = killed_in_mid_job(stack)
    return job and until(lambda: (state := stack.site.get(job).json["state"]) in ("done", "failed") and state)


def killed_in_mid_job(stack):
    """The job; none where a busy machine was done with it before the blow fell."""
    job = order(stack)
    await_progress(stack, job, 30)
    signal_all(stack, "KILL", "worker")
    return stack.site.get(job).json["state"] == "running" and job


@pytest.mark.long
@pytest.mark.parametrize(("lose", "mend"), [("stop", "start"), ("pause", "unpause")])
def test_a_job_that_cannot_be_queued_for_its_next_try_is_not_lost(prod, lose, mend):
    """Its connection to the database breaks while Redis is away."""
    with settings(prod, TASK_TIME_LIMIT=6, STEP_SECONDS=0.45):
        job = order(prod)
        await_progress(prod, job, 30)
        docker(lose, prod.container("redis"))  # at once: the job goes on
        try:
            prod.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
            until(lambda: "reject requeue=True" in prod.logs("worker"))
        finally:
            prod.compose(mend, "redis")
        await_done(prod, job)


@pytest.mark.long
def test_a_worker_goes_on_after_a_job_that_ended_while_redis_was_frozen(prod):
    job = order(prod)
    await_progress(prod, job, 30)
    prod.compose("pause", "redis")
    try:
        await_done(prod, job)
    finally:
        prod.compose("unpause", "redis")
    prod.await_health("ok")
    await_done(prod, order(prod))


@pytest.mark.long
def test_a_job_that_runs_out_of_memory_fails_and_the_worker_goes_on(dev):
    with edited("app/jobs.py", 'job.state = "running"', "raise MemoryError"):
        dev.compose("restart", "worker")
        before = dev.inspect("worker")
        await_done(dev, order(dev), state="failed")
    assert dev.inspect("worker")["State"]["StartedAt"] == before["State"]["StartedAt"]
    dev.compose("restart", "worker")
    await_done(dev, order(dev))


@pytest.mark.long
def test_a_job_that_takes_too_long_is_stopped_and_says_so(prod):
    with settings(prod, TASK_TIME_LIMIT=2, STEP_SECONDS=1):
        job = order(prod)
        await_done(prod, job, state="failed")


@pytest.mark.long
def test_a_stop_of_the_worker_finishes_the_job_in_hand(prod):
    job = order(prod)
    await_progress(prod, job, 30)
    try:
        prod.compose("stop", "worker")
        assert prod.site.get(job).json["state"] == "done"
    finally:
        prod.compose("up", "--detach", "--wait")


def test_what_is_queued_survives_a_crash_of_redis(prod):
    with prod.without("worker"):
        job = order(prod)
        signal_all(prod, "KILL", "redis")
        prod.await_healthy("redis")
        prod.await_health("ok")
        assert prod.site.get(job).json["state"] == "queued"
    await_done(prod, job)


def test_nothing_that_was_cached_before_a_restart_of_redis_is_served_after_it(prod):
    """It is in the file that the queue needs, and what it has missed cannot be known."""

    def listed():
        return {prod.site.get("/api/items").text for _ in range(20)}  # by each process of the application

    item = prod.site.post_json("/api/items", {"name": "cached"}).json["id"]
    marks = []

    def is_cached():
        """A change behind the back of the cache is not seen. (It may just be recovering from another test.)"""
        listed()
        marks.append(f"mark-{uuid.uuid4().hex}")
        prod.sql(f"UPDATE probe_item SET name = '{marks[-1]}' WHERE id = {item}")  # noqa: S608
        return all(marks[-1] not in text for text in listed())

    until(is_cached)
    prod.compose("restart", "redis")
    prod.await_healthy("redis")
    assert all(marks[-1] in text for text in listed())
    prod.await_health("ok")


@pytest.mark.long
@pytest.mark.parametrize(("lose", "mend"), [("stop", "start"), ("pause", "unpause")])
def test_an_order_is_refused_in_time_while_the_queue_is_away_and_leaves_nothing(prod, lose, mend):
    before = prod.sql("SELECT count(*) FROM probe_job")
    prod.compose(lose, "redis")
    try:
        for _ in range(3):
            started = time.monotonic()
            answer = prod.site.request("POST", "/api/jobs")
            assert time.monotonic() - started < 3
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert answer.json["error"]["request_id"] == answer.headers["X-Request-ID"]
    finally:
        prod.compose(mend, "redis")
    assert prod.sql("SELECT count(*) FROM probe_job") == before
    prod.await_health("ok")
    await_done(prod, order(prod))


def await_state(stack, state):
    def seen():
        states = {service: stack.inspect(service)["State"]["Health"]["Status"] for service in ("worker", "beat")}
        assert set(states.values()) == {state}, states
        return True

    until(seen)


@pytest.mark.long
def test_a_worker_or_beat_that_hangs_is_unhealthy(prod):
    signal_all(prod, "STOP", "worker", "beat", only=lambda pid, first: pid == first)
    try:
        await_state(prod, "unhealthy")
    finally:
        signal_all(prod, "CONT", "worker", "beat")
    await_state(prod, "healthy")


@pytest.mark.long
def test_without_redis_both_are_unhealthy_and_with_it_healthy_again(prod):
    started = [prod.inspect(service)["State"]["StartedAt"] for service in ("worker", "beat")]
    with prod.without("redis"):
        await_state(prod, "unhealthy")
    await_state(prod, "healthy")
    assert [prod.inspect(service)["State"]["StartedAt"] for service in ("worker", "beat")] == started


def test_what_the_clock_says_is_done(dev):
    """Beat queues it and the worker does it; here every second."""
    job = order(dev)
    await_done(dev, job)
    dev.sql("UPDATE probe_job SET created_at = created_at - interval '1 year'")
    try:
        with edited("app/schedule.py", 'crontab(minute="*/10")', "1.0"):
            dev.compose("restart", "beat")
            until(lambda: dev.site.get(job).status == 404)
    finally:
        dev.compose("restart", "beat")


@pytest.mark.long
def test_a_job_that_kills_each_process_that_it_gets_is_given_up(dev):
    job = order(dev)

    def given_up():
        signal_all(dev, "KILL", "worker", only=lambda pid, first: pid != first)
        return dev.site.get(job).json["state"] == "failed"

    until(given_up)
    await_done(dev, order(dev))


@pytest.mark.parametrize("service", ["worker", "beat"])
def test_a_wrong_setting_is_told_and_no_traceback(prod, service):
    result = prod.once(service, environment={"TASK_TIME_LIMIT": "soon"})
    assert result.returncode != 0
    assert "TASK_TIME_LIMIT: expected a whole number" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.long
def test_what_is_queued_is_never_evicted(prod):
    """Only the cache has an expiry."""
    with prod.without("worker"):
        job = order(prod)
        assert prod.redis("ttl", LAST) == "-1"
    await_done(prod, job)


@pytest.mark.long
def test_a_mail_does_not_wait_behind_jobs_that_are_not_urgent(prod):
    with prod.without("worker"):
        jobs = [order(prod) for _ in range(3)]
        prod.exec("app", "flask", "send-test-mail", "you@example.com")
    until(lambda: prod.sql("SELECT count(*) FROM mail WHERE recipient = 'you@example.com'") == "0")
    assert prod.site.get(jobs[-1]).json["state"] == "queued"
    for job in jobs:
        await_done(prod, job)


@pytest.mark.long
def test_a_second_worker_shares_the_work(prod):
    prod.compose("up", "--detach", "--wait", "--no-deps", "--scale", "worker=2", "worker")
    try:
        for job in [order(prod) for _ in range(4)]:
            await_done(prod, job)
        for name in prod.compose("ps", "--quiet", "worker").split():
            until(lambda name=name: "succeeded" in run("docker", "logs", name).stdout)
    finally:
        prod.compose("up", "--detach", "--wait", "--no-deps", "--scale", "worker=1", "worker")
