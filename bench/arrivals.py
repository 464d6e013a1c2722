"""Requests that arrive at a rate, whether or not those before them were answered: arrivals.py URL HOST RATE SECONDS.

A client of wrk asks again when it has its answer, so it is as slow as the server. Visitors are not: what comes in
faster than it is served piles up. Each wait is counted from when the visitor came. Prints a line of JSON.
"""
# ruff: noqa: E402 - patched first

from gevent import monkey

monkey.patch_all()

import json
import random
import resource
import ssl
import statistics
import sys
import time
from collections import Counter
from http.client import HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import gevent
from gevent.queue import LifoQueue

PATIENCE = 10  # seconds that a visitor waits
CONNECTIONS = 3000  # that visitors have open already: handshakes are another measurement
url, host, rate, seconds = urlsplit(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
tls = ssl.create_default_context()
tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
answers, waits, idle = Counter(), [], LifoQueue()


def visit(came):
    connection = idle.get()
    try:
        connection.request("GET", url.path, headers={"Host": host})
        answer = connection.getresponse()
        answer.read()
    except OSError, HTTPException:
        connection.close()  # and opened anew by the next one
        answers["failed"] += 1
        idle.put(connection)
        return
    waited = time.monotonic() - came
    if waited > PATIENCE:
        answers["failed"] += 1
    else:
        answers["refused" if answer.status in (429, 503) else "served" if answer.status < 400 else "failed"] += 1
        if answer.status < 400:
            waits.append(waited * 1000)
    idle.put(connection)


def connect():
    connection = HTTPSConnection(url.hostname, url.port, timeout=PATIENCE, context=tls)
    connection.connect()
    idle.put(connection)


gevent.joinall([gevent.spawn(connect) for _ in range(CONNECTIONS)])
began, used, visits, came = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF), [], 0.0
while (came := came + random.expovariate(rate)) < seconds:
    gevent.sleep(max(0, began + came - time.monotonic()))
    visits.append(gevent.spawn(visit, began + came))
gevent.joinall(visits)
took = time.monotonic() - began
after = resource.getrusage(resource.RUSAGE_SELF)
cuts = statistics.quantiles(waits, n=100) if len(waits) > 1 else [0] * 99
print(
    json.dumps(
        {name: answers[name] / took for name in ("served", "refused", "failed")}
        | {"p50": cuts[49], "p99": cuts[98]}
        | {"cpu": (after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime) / took}
    )
)
