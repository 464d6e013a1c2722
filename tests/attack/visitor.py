"""Asks a site over and over, each time by a new connection, until it is stopped; prints a JSON line an answer."""

import http.client
import json
import signal
import ssl
import sys
import time

address, domain, path = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


class Connection(http.client.HTTPSConnection):
    def connect(self):
        http.client.HTTPConnection.connect(self)
        self.sock = context.wrap_socket(self.sock, server_hostname=domain)


def visit():
    connection = Connection(address, 8443, timeout=20)
    try:
        connection.request("GET", path, headers={"Host": domain})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()


signal.signal(signal.SIGTERM, lambda *_: sys.exit())
while True:
    started = time.monotonic()
    status = visit()
    print(json.dumps({"at": started, "took": time.monotonic() - started, "status": status}), flush=True)
    time.sleep(0.02)
