"""How a PostgreSQL server is to prove who it is, where nobody says: by its certificate.

libpq's own default (``sslmode=prefer``) goes on in the clear where whoever answers asks for it, and
believes any certificate (https://www.postgresql.org/docs/current/libpq-ssl.html, section 34.19.3).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final

__all__ = ["with_trust"]

_VERIFIED: Final = "verify-full"


def with_trust(parameters: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return libpq's parameters, with the server's certificate verified unless they say otherwise.

    A server on this machine (a Unix socket, ``localhost``, a loopback address) needs none.

    Args:
        parameters: those of a URL.
        environment: what libpq takes those from that are not given.
    """
    stated = "sslmode" in parameters or "PGSSLMODE" in environment
    # A service file may name any host, also beside the one that is given.
    elsewhere = "service" in parameters or "PGSERVICE" in environment
    hosts = [
        host
        for name, variable in (("host", "PGHOST"), ("hostaddr", "PGHOSTADDR"))
        for host in parameters.get(name, environment.get(variable, "")).split(",")
    ]
    if stated or (not elsewhere and all(map(_is_here, hosts))):
        return dict(parameters)
    return {**parameters, "sslmode": _VERIFIED}


def _is_here(host: str) -> bool:
    # None, a folder and an abstract name are Unix sockets.
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
