"""One client sends all the files that a machine can send."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.shell import docker
from tests.stack.conftest import kill
from tests.stack.test_uploads import form
from tests.wait import until

pytestmark = pytest.mark.long

SIZE = 4 * 1024 * 1024
FIELDS = {"name": "With a file"}
CROWD = 300  # more than the memory of any container, together
CONTENT = b"\x89PNG\r\n\x1a\n" + bytes(SIZE - 8)
BODY, HEADERS = form(FIELDS, "a.png", CONTENT)


def upload(site):
    """The status, and the id of the item where there is one. Both None where nginx had enough connections of one
    address, or the disk was too slow for any answer.
    """
    try:
        answer = site.request("POST", "/api/items", body=BODY, headers=HEADERS)
    except OSError:
        return None, None
    assert answer.status == 201 or answer.headers["Retry-After"]
    return answer.status, answer.json.get("id")


def stored(stack):
    return set(stack.exec("app", "ls", "/srv/uploads").split())


def named(stack):
    return set(stack.sql("SELECT file_key FROM probe_item WHERE file_key IS NOT NULL").split())


def assert_whole(stack, answers):
    """Each file that was acknowledged."""
    for item in [item for status, item in answers if status == 201]:
        answer = stack.site.get(f"/items/{item}/file", headers={"Range": f"bytes={SIZE - 8}-"})
        assert (answer.status, len(answer.body)) == (206, 8), item


def test_a_crowd_of_uploads_harms_nobody_and_none_that_was_acknowledged_is_lost(attacked):
    with attacked.watched() as durations, ThreadPoolExecutor(CROWD) as pool:
        answers = list(pool.map(upload, [attacked.site] * CROWD))
    statuses = [status for status, _ in answers]
    assert set(statuses) <= {201, 429, 503, None}
    assert statuses.count(201) > 10
    assert max(durations) < 3, "the application answers meanwhile"
    until(lambda: stored(attacked) == named(attacked))
    assert_whole(attacked, answers)
    assert upload(attacked.site)[0] == 201, "the next one"


def test_a_crash_amid_uploads_leaves_no_file_without_a_row_and_loses_none(attacked):
    state = attacked.inspect("app")["State"]
    with ThreadPoolExecutor(20) as pool:
        under_way = [pool.submit(upload, attacked.site) for _ in range(60)]
        until(lambda: sum(answer.done() and answer.result()[0] == 201 for answer in under_way) > 5)
        kill("KILL", state["Pid"])
        answers = [answer.result() for answer in under_way]
    until(lambda: attacked.inspect("app")["State"]["StartedAt"] != state["StartedAt"])
    attacked.await_healthy("app")
    old = ("find", "/srv/uploads", "-name", "*.part", "-exec", "touch", "-d", "2 hours ago", "{}", "+")
    attacked.exec("app", *old)
    attacked.exec("worker", "celery", "--app", "flagstone.worker", "call", "flagstone.uploads.settle")
    until(lambda: stored(attacked) == named(attacked))
    assert_whole(attacked, answers)


@pytest.fixture
def small(attacked):
    """Its application has 300 MB of memory."""
    container = attacked.container("app")
    docker("update", "--memory", "300m", "--memory-swap", "300m", container)
    yield attacked
    docker("update", "--memory", "768m", "--memory-swap", "1536m", container)


def test_a_text_that_would_fill_the_memory_is_taken_all_the_same(small):
    body, headers = form(FIELDS, "large.txt", b"0123456789abcde\n" * (120 * 1024 * 64))
    with small.watched() as durations:
        answer = small.site.request("POST", "/api/items", body=body, headers=headers)
    assert answer.status == 201
    assert max(durations) < 3
