"""The SDK's own clients of a vault on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from keyhier.testing.keyvault import KeyVault

__all__ = ["crypto_client", "key_client"]


def _credential(service: KeyVault) -> TokenCredential:
    return cast("TokenCredential", service.credential())


def key_client(service: KeyVault) -> KeyClient:
    """Return a client for keys; a context manager."""
    return KeyClient(service.url, _credential(service), connection_verify=service.ca_file)


def crypto_client(service: KeyVault, name: str) -> CryptographyClient:
    """Return a client for operations with the latest version of a key; a context manager."""
    with key_client(service) as keys:
        key = keys.get_key(name)
    return CryptographyClient(key, _credential(service), connection_verify=service.ca_file)
