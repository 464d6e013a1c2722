"""A real SMTP server for the tests, which keeps what it is sent and who logged in."""

from contextlib import contextmanager
from socket import create_server
from ssl import PROTOCOL_TLS_SERVER, SSLContext

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.shell import run


class Mailbox:
    def __init__(self, password):
        self.password = password
        self.messages, self.logins, self.secured, self.unwanted = [], [], [], set()
        self.goodbye = "221 Bye"

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's name
        if address in self.unwanted:
            return "450 later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.messages.append(envelope)
        self.secured.append(session.ssl is not None)
        return "250 OK"

    async def handle_QUIT(self, server, session, envelope):  # noqa: N802
        return self.goodbye

    def authenticate(self, server, session, envelope, mechanism, login):
        self.logins.append((login.login.decode(), login.password.decode()))
        return AuthResult(success=self.logins[-1] == ("user", self.password))

    def recipients(self):
        return sorted(address for envelope in self.messages for address in envelope.rcpt_tos)

    def texts(self):
        return [envelope.content.decode() for envelope in self.messages]


def certificate(folder, name):
    """A self-signed one for `name`: the paths of the certificate and its key."""
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    subject = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "2")
    run(*new, *subject, "-out", str(paths[0]), "-keyout", str(paths[1]))
    paths[0].chmod(0o644)
    return paths


@contextmanager
def mail_server(pair=None, host="127.0.0.1", port=None, login=False, password="hunter2"):  # noqa: S107 - of nobody
    """Yields its Mailbox, with `port`. With a pair (certificate, key) it speaks STARTTLS and insists on it."""
    context = None
    if port is None:  # the controller calls its own port, so it has to know it
        with create_server((host, 0)) as free:
            port = free.getsockname()[1]
    if pair:
        context = SSLContext(PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
    mailbox = Mailbox(password)
    options = {"tls_context": context, "require_starttls": bool(pair), "hostname": host, "port": port}
    options["ready_timeout"] = 60
    if login:
        options |= {"authenticator": mailbox.authenticate, "auth_required": True, "auth_require_tls": bool(pair)}
        options["auth_exclude_mechanism"] = ["LOGIN"]  # aiosmtpd's asks in words of its own
    controller = Controller(mailbox, **options)
    controller.start()
    mailbox.port = port
    try:
        yield mailbox
    finally:
        controller.stop()
