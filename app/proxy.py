"""Whom the app believes what it says of a client: nginx, and nobody else."""

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

# Set by nginx/site/proxy.conf.
HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_REQUEST_ID")
ANYWHERE = IPv4Network("0.0.0.0/0")


def init_app(app: Flask) -> None:
    if hops := app.config["PROXY_HOPS"]:
        networks = app.config["TRUSTED_PROXIES"] or ["127.0.0.0/8", *front_network()]
        app.wsgi_app = FromProxyOnly(app.wsgi_app, hops, networks)


class FromProxyOnly:
    """WSGI middleware: forwarding headers count when a proxy's network sent them, and are removed otherwise."""

    def __init__(self, app: Callable[..., Any], hops: int, networks: Iterable[str]):
        self.app = app
        # Just the headers that nginx sets: whatever else a client sends stays untrusted.
        self.proxied = ProxyFix(app, x_for=hops, x_proto=hops, x_host=hops)
        self.networks = [ip_network(network) for network in networks]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        address = ip_address(environ["REMOTE_ADDR"])
        if any(address in network for network in self.networks):
            return self.proxied(environ, start_response)
        for header in HEADERS:
            environ.pop(header, None)
        return self.app(environ, start_response)


def front_network(routes: Path = Path("/proc/net/route")) -> list[str]:
    """The network of the default route. nginx is there; the other one, of the data services, leads nowhere."""
    # Columns (proc_net(5)): 0 interface, 1 destination, 2 gateway, 7 mask; addresses as little-endian numbers.
    rows = [line.split() for line in routes.read_text().splitlines()[1:]] if routes.exists() else []
    networks = [(row[0], IPv4Network(f"{address(row[1])}/{address(row[7])}")) for row in rows]
    default = [interface for interface, network in networks if network == ANYWHERE]
    return [str(network) for interface, network in networks if interface in default and network != ANYWHERE]


def address(hexadecimal: str) -> IPv4Address:
    return IPv4Address(bytes.fromhex(hexadecimal)[::-1])
