"""Calls a second of the view /hello with nothing around it: no server, no proxy, no TLS. The limit of one process."""

import time

from werkzeug.test import EnvironBuilder

from app import app

environ = EnvironBuilder("/hello").get_environ()
began, calls = time.monotonic(), 0
while time.monotonic() - began < 3:
    for _ in range(100):
        b"".join(app(dict(environ), lambda *_: None))
    calls += 100
print(round(calls / (time.monotonic() - began)))
