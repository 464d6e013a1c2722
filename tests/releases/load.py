"""Visitors of a site, all the time: over kept connections and new ones, HTTP/1.1, 2 and 3, who read, write and upload.

Each page's static files are asked for, too, and must be what their names promise.
"""

import hashlib
import http.client
import json
import re
import threading
import time
import uuid
from contextlib import contextmanager

import httpx

from tests.tls.curl import Client

PAUSE = 0.2  # seconds between two requests of one visitor
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20_000


class Load:
    def __init__(self, stack):
        self.stack, self.site = stack, stack.site
        self.total, self.failed, self.created = 0, [], []
        self.lock, self.over = threading.Lock(), threading.Event()

    def note(self, what, status, created=None):
        with self.lock:
            self.total += 1
            if status not in (200, 201):
                self.failed.append((round(time.time(), 1), what, status))
            if created and status == 201:
                self.created.append(created)

    def repeat(self, visit):
        while not self.over.is_set():
            try:
                visit()
            except (OSError, http.client.HTTPException, httpx.HTTPError) as error:
                self.note(visit.__name__, repr(error))
            self.over.wait(PAUSE)

    def page(self):
        """The page with its static files, whose fingerprints are those of their contents."""
        answer = self.site.get("/")
        self.note("page", answer.status)
        for path in re.findall(r'="(/static/[^"]+)"', answer.text):
            file = self.site.get(path)
            promised = re.search(r"\.([0-9a-f]{12})\.", path)[1]
            right = hashlib.sha256(file.body).hexdigest().startswith(promised)
            self.note(path, file.status if right else f"{file.status}, of another release")

    def row(self):
        name = uuid.uuid4().hex
        self.note("row", self.site.post_json("/api/items", {"name": name, "text": ""}).status, name)

    def upload(self):
        name, mark = uuid.uuid4().hex, uuid.uuid4().hex
        parts = [f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
                 for key, value in (("name", name), ("text", ""))]  # fmt: skip
        parts.append(f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n')
        body = "".join(parts).encode() + PNG + f"\r\n--{mark}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        answer = self.site.request("POST", "/api/items", body=body, headers=headers)
        self.note("upload", answer.status, name)

    def kept_connection(self):
        """One of HTTP/1.1 for as long as the server keeps it, with reads and writes on it."""
        connection = http.client.HTTPConnection(self.site.address)
        connection.sock = self.site.connect()
        while not self.over.is_set():
            for method, path in (("GET", "/health/live"), ("POST", "/api/items")):
                name = uuid.uuid4().hex
                body = json.dumps({"name": name, "text": ""}) if method == "POST" else None
                headers = {"Host": self.site.host, "Content-Type": "application/json"}
                connection.request(method, path, body=body, headers=headers)
                answer = connection.getresponse()
                answer.read()
                self.note("kept", answer.status, name if body else None)
                if answer.will_close:
                    return
            self.over.wait(PAUSE)

    def http2(self):
        """Many requests on one connection. Another one now and then: where nginx ends one, h2 stumbles."""
        url = f"https://{self.site.address}:{self.site.port}"
        headers = {"Host": self.site.host}
        with httpx.Client(http2=True, verify=False, headers=headers, timeout=60, trust_env=False) as client:  # noqa: S501
            options = {"extensions": {"sni_hostname": self.site.host}}
            for _ in range(300):
                if self.over.is_set():
                    break
                name = uuid.uuid4().hex
                self.note("http/2", client.get(f"{url}/", **options).status_code)
                body = {"name": name, "text": ""}
                self.note("http/2", client.post(f"{url}/api/items", json=body, **options).status_code, name)
                self.over.wait(PAUSE)

    def check_rows(self):
        """Each row that was acknowledged is there, once."""
        found = self.stack.sql("SELECT name FROM probe_item").split()
        lost = {*self.created} - {*found}
        assert not lost, lost
        assert len(found) == len({*found}), "a request was repeated"


@contextmanager
def under_load(stack):
    load = Load(stack)
    visits = [load.page, load.page, load.row, load.row, load.upload, load.kept_connection, load.kept_connection]
    threads = [threading.Thread(target=load.repeat, args=(visit,)) for visit in (*visits, load.http2)]
    # curl knows HTTP/3, and asks each of these as fast as that.
    health = f"https://{stack.site.host}/health/live?[1-900]"
    by_curl = [Client(stack, protocol, health, rate=f"{1 / PAUSE:.0f}/s") for protocol in ("h2", "h3")]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.over.set()
        for thread in threads:
            thread.join()
        for client in by_curl:
            asked, bad, _ = client.stop()
            load.total += asked
            load.failed += [(client.protocol, *line) for line in bad]
