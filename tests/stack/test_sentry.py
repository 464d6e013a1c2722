"""Errors reach Sentry, whole and without secrets; a Sentry that is away costs no request anything."""

import gzip
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.long import long_but
from tests.shell import docker
from tests.stack.conftest import HERE
from tests.wait import until

CANARY = "Zk29canaryQx7"


@contextmanager
def ingest():
    """As much of Sentry as receives envelopes; yields its port and (type, payload) of all items so far."""
    items = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            head, *lines = gzip.decompress(body).decode().splitlines()
            assert self.path == "/api/42/envelope/"
            assert "sentry_key=public" in self.headers["X-Sentry-Auth"]
            assert json.loads(head)
            items.extend((json.loads(kind)["type"], item) for kind, item in zip(lines[::2], lines[1::2], strict=True))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("0.0.0.0", 0), Handler) as server:  # noqa: S104
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1], items
        finally:
            server.shutdown()


def dsn(port):
    return f"http://public@{HERE}:{port}/42"


def test_an_error_arrives_with_its_release_and_request_and_without_secrets(prod):
    settings = {"RELEASE": "v1.2.3", "SENTRY_TRACES_SAMPLE_RATE": 1}
    with ingest() as (port, items), prod.in_place(SENTRY_DSN=dsn(port), **settings):
        headers = {"Authorization": f"Bearer {CANARY}", "Cookie": f"session={CANARY}", "X-Api-Key": CANARY}
        answer = prod.site.post_json(
            f"/boom?token={CANARY}&page=2", {"user": "bob", "password": CANARY}, headers=headers
        )
        assert answer.status == 500

        def arrived(kind, name):
            events = [json.loads(item) for type_, item in items if type_ == kind]
            return [event for event in events if event.get("transaction") == name]

        (event,) = until(lambda: arrived("event", "views.boom"), what="the event")
        (exception,) = event["exception"]["values"]
        assert exception["type"] == "RuntimeError"
        assert exception["value"].startswith("boom postgresql")
        assert "bob" in exception["value"]
        assert exception["stacktrace"]["frames"][-1]["function"] == "boom"
        assert not any("vars" in frame for frame in exception["stacktrace"]["frames"])
        assert (event["release"], event["environment"]) == ("v1.2.3", "Production")
        assert event["tags"]["request_id"] == answer.headers["X-Request-ID"]
        assert "page=2" in event["request"]["query_string"]
        (trace,) = until(lambda: arrived("transaction", "views.boom"), what="the transaction")
        assert trace["tags"]["request_id"] == answer.headers["X-Request-ID"]
        assert CANARY not in str(items)
        assert prod.exec("redis", "cat", "/run/secrets/redis_password") not in str(items)


def test_an_error_in_the_worker_arrives_with_the_id_of_whoever_queued_it_and_without_arguments(prod):
    queue = "celery.send_task('flagstone.mail.deliver', ['nowhere', '', sys.argv[1]], headers={'request_id': 'queued'})"
    code = f"import sys; from flagstone.worker import celery; {queue}"
    with ingest() as (port, items), prod.without("worker"), prod.another("worker", SENTRY_DSN=dsn(port)):
        prod.exec("app", "python", "-c", code, CANARY)

        def arrived():
            events = [json.loads(item) for kind, item in items if kind == "event"]
            return [event for event in events if event.get("tags", {}).get("request_id") == "queued"]

        (event,) = until(arrived, what="the event")
        assert event["exception"]["values"][0]["type"] == "TypeError"
        assert CANARY not in str(items)


@pytest.mark.parametrize("state", long_but(["hangs"], ["hangs", "is down"]))
def test_no_request_waits_for_a_sentry_that_does_not_answer(prod, state):
    """More errors than its queue holds, while it accepts and says nothing, or refuses."""
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        if state == "is down":
            server.close()
        with prod.in_place(SENTRY_DSN=dsn(port)) as site:

            def ask(path):
                started = time.monotonic()
                return prod.site.get(path).status, time.monotonic() - started

            ask("/boom")
            alone = max(ask("/")[1] for _ in range(5))
            with ThreadPoolExecutor(5) as pool:
                answers = list(pool.map(ask, ["/boom"] * 300))
            statuses = [status for status, _ in answers]
            assert statuses.count(500) > 100, "more than its queue holds"
            assert {*statuses} <= {500, 503}, "the latter where the machine is busy"
            assert sorted(duration for _, duration in answers)[-30] < 3, "two thirds of them found it full"
            until(lambda: (answer := ask("/"))[0] == 200 and answer[1] < 5 * alone)
            started = time.monotonic()
            docker("stop", site.address)
            assert time.monotonic() - started < 28, "nor does a stop, whose graceful_timeout is 30 s"
