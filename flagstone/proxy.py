"""Whose word is taken for who a client is: that of the proxies in TRUSTED_PROXIES, and nobody else's."""

import logging
import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address, ip_network
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

logger = logging.getLogger(__name__)

# Set by nginx/site/proxy.conf.
HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_REQUEST_ID")
HEADERS += ("HTTP_X_EDGE_CACHE",)
THIS_MACHINE = ("127.0.0.0/8", "::1/128")


def init_app(app: Flask) -> None:
    if hops := app.config["PROXY_HOPS"]:
        app.wsgi_app = FromProxyOnly(app.wsgi_app, hops, app.config["TRUSTED_PROXIES"] or THIS_MACHINE)


class FromProxyOnly:
    """WSGI middleware: forwarding headers count when a trusted proxy sent them, and are removed otherwise."""

    def __init__(self, app: Callable[..., Any], hops: int, proxies: Iterable[str]):
        self.app = app
        # Just the headers that nginx sets: whatever else a client sends stays untrusted.
        self.proxied = ProxyFix(app, x_for=hops, x_proto=hops, x_host=hops)
        self.networks, self.names = [], []
        for proxy in proxies:
            try:
                self.networks.append(ip_network(proxy))
            except ValueError:
                self.names.append(proxy)
        self.addresses: dict[str, set[str]] = {}  # by name

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if any(header in environ for header in HEADERS):
            if self.trusts(environ["REMOTE_ADDR"]):
                return self.proxied(environ, start_response)
            for header in HEADERS:
                environ.pop(header, None)
        return self.app(environ, start_response)

    def trusts(self, peer: str) -> bool:
        if not peer:  # a Unix socket: its permissions say who may use it
            return True
        if any(ip_address(peer) in network for network in self.networks):
            return True
        # Whoever is not known may be a proxy at a new address; the former one is forgotten then.
        if not self.is_known(peer):
            self.look_up()
        return self.is_known(peer)

    def is_known(self, peer: str) -> bool:
        return any(peer in addresses for addresses in self.addresses.values())

    def look_up(self) -> None:
        for name in self.names:
            try:
                self.addresses[name] = {answer[4][0] for answer in socket.getaddrinfo(name, None)}
            except OSError as error:
                logger.warning("TRUSTED_PROXIES: %s is not found: %s", name, error)
