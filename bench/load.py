"""One measurement: load.py SLOW-CLIENTS SECONDS wrk's arguments. Prints what report.lua does, and the CPU it took."""

import json
import resource
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from threading import Thread
from urllib.parse import urlsplit
from urllib.request import urlopen

context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


def dawdle(address, until):
    """A client that never comes to the end of its request: a line of it each second."""
    while time.monotonic() < until:
        with suppress(OSError), context.wrap_socket(socket.create_connection(address), server_hostname=address[0]) as s:
            s.sendall(b"GET /hello HTTP/1.1\r\nHost: bench.test\r\n")
            while time.monotonic() < until:
                time.sleep(1)
                s.sendall(b"X-Slow: yes\r\n")


def wrk(seconds):
    command = ["wrk", "-s", "report.lua", "--duration", f"{seconds}s", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


slow, seconds, *arguments = sys.argv[1:]
url = next(urlsplit(word) for word in arguments if word.startswith("http"))
for _ in range(int(slow)):
    Thread(target=dawdle, args=((url.hostname, url.port), time.monotonic() + 60), daemon=True).start()
wrk(2)  # fills caches, and pools: a connection to the database is 20 ms of work
with suppress(OSError):  # not behind what that has left
    urlopen(url.geturl(), context=context, timeout=10)
began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
said = wrk(seconds)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = (used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime) / (time.monotonic() - began)
print(json.dumps(json.loads(said.strip().splitlines()[-1]) | {"cpu": cpu}))
