"""The production stack with the profile `monitoring`, told to look and to speak more often than on a server."""

import json
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import quote

import pytest

from tests.conftest import copy_with_probe
from tests.smtp import Mailbox, certificate, mail_server
from tests.stack.conftest import DOMAIN, HERE, Stack, production
from tests.wait import until

MAIL_PORT, HTTP_PORT = 2526, 8090
# What differs from a server: a name that only this network knows, and an authority of the mail server's own.
OVERRIDE = """
services:
  nginx: {{ networks: {{ edge: {{ aliases: [{domain}] }} }} }}
  alertmanager:
    environment: {{ SSL_CERT_FILE: /ca.pem }}
    volumes: ["{ca}:/ca.pem:ro"]
"""
FASTER = {
    "prometheus.yml": [
        (r"interval: 15s", "interval: 3s"),
        (r"http://{domain}/", "http://{domain}:8080/"),
    ],
    "alerts.yml": [
        (r"for: \w+", "for: 1s"),
        (r"\[5m\]", "[20s]"),
        (r"\[10m\]", "[20s]"),
        (r"(?<=process=\"(?:beat|work))([er]*\"} )> 60", r"\1> 20"),
    ],
    "alertmanager.sh": [
        (r"group_wait: 10s", "group_wait: 1s"),
        (r"group_interval: 1m", "group_interval: 3s"),
        (r"repeat_interval: 30s", "repeat_interval: 2s"),
    ],
    "blackbox.yml": [
        (r"fail_if_not_ssl: true", "fail_if_not_ssl: true, tls_config: { ca_file: /etc/monitoring/ca.pem }")
    ],
}


@dataclass
class Told:
    """Whoever is told: by mail, by a webhook; and the one outside who waits for the heartbeat."""

    mailbox: Mailbox
    alerts: list = field(default_factory=list)  # (status, name)
    chat: list = field(default_factory=list)  # titles
    heartbeats: int = 0


@contextmanager
def receiver(told):
    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/heartbeat":
                told.heartbeats += 1
            elif self.path == "/chat":
                told.chat += [attachment["title"] for attachment in body["attachments"]]
            else:
                told.alerts += [(alert["status"], alert["labels"]["alertname"]) for alert in body["alerts"]]
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(b"ok")  # as a chat says it

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("0.0.0.0", HTTP_PORT), Receiver)  # noqa: S104 - its networks are the tests' own
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class Monitored(Stack):
    told: Told

    def up(self):
        super().up()
        self.serve_certificate(days=60)

    def serve_certificate(self, days):
        """In the place of certbot's, which gets none here; it is trusted by whoever looks at the site."""
        folder = f"/etc/letsencrypt/of-{days}-days"
        new = f"openssl req -x509 -newkey rsa:2048 -noenc -days {days} -subj /CN=x -addext subjectAltName=DNS:$DOMAIN"
        script = f"mkdir -p {folder} && {new} -keyout {folder}/privkey.pem -out {folder}/fullchain.pem 2>/dev/null"
        before = self.site.certificate()
        self.exec("certbot", "sh", "-c", f"{script} && ln -sfn {folder} /etc/letsencrypt/current")
        # Asked once: another worker of nginx may show the former one for three seconds more.
        served = until(lambda: (seen := self.site.certificate()) != before and seen)
        (self.folder / "monitoring/ca.pem").write_text(served)

    def query(self, expression):
        """What Prometheus says of it: (labels, value) of each series."""
        address = f"http://127.0.0.1:9090/api/v1/query?query={quote(expression)}"
        said = self.exec("prometheus", "wget", "-q", "-Y", "off", "-O", "-", address)
        return [(series["metric"], float(series["value"][1])) for series in json.loads(said)["data"]["result"]]

    @contextmanager
    def telling(self, alert):
        """What is broken in here is told by mail, webhook and chat; yields a function that waits, and returns the mail.
        Afterwards it is mended, and that is told, too."""

        def told(status):
            subject = f"[{status}] {alert} at {DOMAIN}"
            mails = [text for text in self.told.mailbox.texts()[before[0] :] if f"Subject: {subject}" in text]
            by_webhook = (status, alert) in self.told.alerts[before[1] :]
            return by_webhook and subject in self.told.chat[before[2] :] and mails and mails[-1]

        def await_told(status="firing"):
            began = time.monotonic()
            mail = until(lambda: told(status), what=f"{status} {alert} by mail, webhook and chat")
            print(f"{alert} {status}: told after {time.monotonic() - began:.0f} s")
            return mail

        before = len(self.told.mailbox.messages), len(self.told.alerts), len(self.told.chat)
        yield await_told
        await_told("resolved")


@pytest.fixture(scope="session")
def monitored():
    folder = copy_with_probe("monitored")
    for name, changes in FASTER.items():
        file = folder / "monitoring" / name
        text = file.read_text()
        for old, new in changes:
            text, count = re.subn(old, new, text)
            assert count, (name, old)
        file.write_text(text)
    pair = certificate(folder, HERE)
    (folder / "override.yaml").write_text(OVERRIDE.format(domain=DOMAIN, ca=pair[0]))
    password = folder / "mail_password"
    password.write_text("hunter2\n")
    password.chmod(0o444)
    settings = {
        "COMPOSE_PROFILES": "monitoring",
        "HTTPS_PUBLIC_PORT": 8443,
        "OPS_USER": "ops",
        "POSTGRES_MAX_CONNECTIONS": 60,
        "MAIL_SERVER": HERE,
        "MAIL_PORT": MAIL_PORT,
        "MAIL_USE_TLS": "yes",
        "MAIL_USERNAME": "user",
        "MAIL_PASSWORD_FILE": password,
        "ALERT_EMAIL": "you@example.com",
        "ALERT_WEBHOOK": f"http://{HERE}:{HTTP_PORT}/alerts",
        "ALERT_SLACK_WEBHOOK": f"http://{HERE}:{HTTP_PORT}/chat",
        "HEARTBEAT_URL": f"http://{HERE}:{HTTP_PORT}/heartbeat",
    }
    with (folder / ".env").open("a") as env:
        env.writelines(f"{name}={value}\n" for name, value in settings.items())
    stack = production("monitored", "override.yaml", kind=Monitored, folder=folder)
    (folder / "monitoring/ca.pem").write_text(pair[0].read_text())  # or blackbox_exporter does not start
    with mail_server(pair, host="0.0.0.0", port=MAIL_PORT, login=True) as mailbox:  # noqa: S104 - as above
        stack.told = Told(mailbox)
        with receiver(stack.told), stack:
            yield stack
