"""A name server that takes dynamic updates (RFC 2136), signed (RFC 8945), for Pebble's DNS to answer with."""

import socketserver
import threading
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsigkeyring

from tests.tls.pebble import set_dns

PORT = 5353
KEY, SECRET = "flagstone.", "bm90IGEgc2VjcmV0LCBhIHRlc3Q="


@contextmanager
def nameserver(zone):
    """Yields the list of the updates that were accepted, as (action, name, text)."""
    keys, updates = dns.tsigkeyring.from_text({KEY: SECRET}), []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            length = int.from_bytes(self.rfile.read(2))  # over TCP a message has its length before it (RFC 1035, 4.2.2)
            query = dns.message.from_wire(self.rfile.read(length), keyring=keys)  # raises on a wrong signature
            response = dns.message.make_response(query)
            response.flags |= dns.flags.AA
            if query.opcode() == dns.opcode.UPDATE:
                for change in query.sections[2]:
                    for record in change:
                        text = record.to_text().strip('"')
                        action = "clear-txt" if change.deleting else "set-txt"
                        updates.append((action, change.name.to_text(), text))
                        set_dns(action, {"host": change.name.to_text(), "value": text})
            elif query.question[0].name.to_text() == zone:
                soa = f"ns.{zone} hostmaster.{zone} 1 3600 600 86400 60"
                response.answer.append(dns.rrset.from_text(zone, 60, "IN", "SOA", soa))
            else:
                response.set_rcode(dns.rcode.NXDOMAIN)
            wire = response.to_wire()
            self.wfile.write(len(wire).to_bytes(2) + wire)

    with socketserver.ThreadingTCPServer(("0.0.0.0", PORT), Handler) as server:  # noqa: S104
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield updates
        finally:
            server.shutdown()
