"""What carries the requests: connections that are kept, and TLS that is always verified."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import attrs
from urllib3 import HTTPConnectionPool, PoolManager, ProxyManager, Timeout
from urllib3.util import make_headers, parse_url

from keyhier.errors import (
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from keyhier_azure.address import VaultAddress

__all__ = ["MAX_BYTES", "Reply", "Transport"]

MAX_BYTES: Final = 16 * 1024 * 1024
"""No answer is longer: the longest are backups of keys with all their versions."""

_POOL: Final = 64  # Connections that are kept, more than threads that anybody will use.

_PROXY_SCHEMES: Final = ("http", "https")

# What `requests` and so azure-identity go by, that one setting may serve for both.
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@attrs.frozen
class Reply:
    """What came back, whatever it was."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    content: bytes = attrs.field(repr=False)


class Transport:
    """The connections to one vault, and to no other host."""

    def __init__(self, address: VaultAddress) -> None:
        """Make ready to connect; nothing is sent.

        Raises:
            NotFoundError: there is no file with the certificates.
            InvalidInputError: there are none in it.
            UnsupportedError: the environment names a proxy of an unknown kind.
        """
        self._manager = _manager(_proxy(address), _context(address))
        pool = self._manager.connection_from_url(address.url)
        self._pool: HTTPConnectionPool = pool

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: Timeout,
    ) -> Reply:
        """Send one request, once; no redirection is followed.

        Args:
            method: the HTTP method.
            target: the path with its query.
            headers: all headers.
            body: the body, or None for none.
            timeout: of the connection and of each read.

        Raises:
            urllib3.exceptions.HTTPError, OSError: there was no answer.
            IntegrityError: the answer is longer than any of the service's.
        """
        response = self._pool.urlopen(
            method,
            target,
            body,
            headers,
            retries=False,
            redirect=False,
            timeout=timeout,
            preload_content=False,
        )
        content = response.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            response.close()
            raise IntegrityError(f"an answer of the vault has more than {MAX_BYTES} bytes")
        response.release_conn()
        return Reply(response.status, response.headers, content)

    def close(self) -> None:
        """Let the connections go."""
        self._pool.close()


def _context(address: VaultAddress) -> ssl.SSLContext:
    """Return what verifies the vault's certificate.

    The certificates are those of ``ca-file``, else of REQUESTS_CA_BUNDLE, else the public ones.
    """
    named = next((os.environ[name] for name in _BUNDLES if os.environ.get(name)), None)
    source = str(address.ca_file) if address.ca_file is not None else named
    if source is None:
        # Nobody who names certificates needs those of the public.
        from certifi import where  # noqa: PLC0415

        source = where()
    try:
        if Path(source).is_dir():
            return ssl.create_default_context(capath=source)
        return ssl.create_default_context(cafile=source)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {source} with certificates") from None
    except OSError as error:
        raise InvalidInputError(f"{source} holds no certificates that can be read") from error


def _proxy(address: VaultAddress) -> str | None:
    """Return the environment's proxy for the vault, or None."""
    if proxy_bypass(address.host):
        return None
    proxies = getproxies()
    return proxies.get("https") or proxies.get("all")


def _manager(proxy: str | None, context: ssl.SSLContext) -> PoolManager:
    if proxy is None:
        return PoolManager(num_pools=1, maxsize=_POOL, ssl_context=context)
    named = parse_url(proxy if "://" in proxy else f"http://{proxy}")
    if named.scheme not in _PROXY_SCHEMES:
        raise UnsupportedError(
            "the environment's proxy for https: is neither an http: nor an https: one",
            remedy="name another in HTTPS_PROXY, or the vault's host in NO_PROXY",
        )
    login = make_headers(proxy_basic_auth=unquote(named.auth)) if named.auth else None
    return ProxyManager(
        named._replace(auth=None).url,
        num_pools=1,
        maxsize=_POOL,
        proxy_headers=login,
        ssl_context=context,
        proxy_ssl_context=context,
    )
