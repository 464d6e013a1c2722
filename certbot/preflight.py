"""Asks what the authority will ask: does each name lead to this server, on port 80? A no costs nothing here."""

import errno
import http.client
import secrets
import socket
import time

PATIENCE = 15  # seconds; nginx may be starting
NO_ADDRESS = "{} has no address in DNS: add an A record that points to this server"
NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL}  # of IPv6 in a container: nothing is learnt


def problem(names, webroot):
    """Put a file where certbot puts its own, and fetch it by each name. Returns None, or what is wrong."""
    if nameless := next(filter(has_no_address, names), None):
        return NO_ADDRESS.format(nameless)
    token = f"preflight-{secrets.token_hex(16)}"
    file = webroot / ".well-known/acme-challenge" / token
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(token)
    except OSError as error:
        return f"{file.parent} cannot be written: {error.strerror}"
    try:
        end = time.monotonic() + PATIENCE
        while found := next(filter(None, (unreached(name, token) for name in names)), None):
            if time.monotonic() > end:
                return found
            time.sleep(1)
        return None
    finally:
        file.unlink()


def has_no_address(name):
    """As DNS says. Where it does not answer, that may pass."""
    try:
        return not addresses(name)
    except socket.gaierror as error:
        return error.errno != socket.EAI_AGAIN


def addresses(name):
    return sorted({info[4][0] for info in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)})


def unreached(name, token):
    try:
        found = addresses(name)
    except OSError:
        return NO_ADDRESS.format(name)
    for address in found:
        connection = http.client.HTTPConnection(address, timeout=5)
        try:
            connection.request("GET", f"/.well-known/acme-challenge/{token}", headers={"Host": name})
            answer = connection.getresponse()
            if answer.read(len(token)) != token.encode():
                return (
                    f"{name} leads to {address}, where another server answers (HTTP {answer.status}):"
                    " correct its A or AAAA record, or what stands in front of this server"
                )
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) in NO_ROUTE:
                continue
            return (
                f"{name} leads to {address}, where port 80 does not answer ({error}):"
                " open it in the firewall, or correct the A or AAAA record"
            )
        finally:
            connection.close()
    return None
