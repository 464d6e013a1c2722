"""Prints what a person asks about the certificate: make cert-status."""

import socket
import ssl
import time
from datetime import UTC, datetime, timedelta

import renew
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256


def fingerprint(certificate):
    return certificate.fingerprint(SHA256()).hex(":", 2)


def served():
    """What nginx shows, or why nothing is seen."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("nginx", 8443), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=renew.NAMES[0]) as connection,
        ):
            return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))
    except OSError as error:
        return f"nothing: nginx does not answer ({error})"


def kept():
    """What certbot keeps, or why there is nothing."""
    try:
        return renew.kept()
    except (OSError, ValueError) as error:
        return f"nothing ({error})"


def describe(certificate):
    """Its lines. certbot renews when a third of the life is left, or half of one below ten days (certbot 4.0)."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    end, life = certificate.not_valid_after_utc, certificate.not_valid_after_utc - certificate.not_valid_before_utc
    due = end - life / (2 if life < timedelta(days=10) else 3)
    yield "names", " ".join(names.get_values_for_type(x509.DNSName))
    yield "issuer", certificate.issuer.rfc4514_string()
    yield "expires", f"{end:%Y-%m-%d %H:%M} UTC, in {(end - datetime.now(UTC)).days} days"
    yield "renewal", f"{due:%Y-%m-%d}, or earlier when the authority asks for it"


def lines():
    yield "site", " ".join(renew.NAMES)
    if reason := renew.nothing_to_do():
        yield "certbot", reason
        disk = None
    else:
        disk = kept()
        yield "server", renew.SERVER
        if isinstance(disk, str):
            yield "on disk", disk
        else:
            yield from describe(disk)
            yield "on disk", fingerprint(disk)
    shown = served()
    if isinstance(shown, str):
        yield "served", shown
    else:
        same = (
            " (the same)"
            if shown == disk
            else f" ({shown.subject.rfc4514_string()}, until {shown.not_valid_after_utc:%Y-%m-%d})"
        )
        yield "served", fingerprint(shown) + same
    memory = renew.remembered()
    if memory["next"]:
        yield "last error", memory["problem"] or "none"
        yield "next check", f"in {renew.minutes(max(memory['next'] - time.time(), 0))}"


if __name__ == "__main__":
    for label, value in lines():
        print(f"{label:<11} {value}")
