"""What the entry point ``https`` refers to; the rest is loaded when a vault is opened."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import attrs

from keyhier.errors import UnsupportedError
from keyhier_azure.address import VaultAddress, VaultKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyhier.driver import OpenOptions
    from keyhier.live import FetchResources, LiveResource
    from keyhier.uri import VaultUri
    from keyhier_azure.driver import KeyVaultDriver, ManagedHsmDriver

__all__ = ["AzureBackend"]

_MISSING: Final = "the package urllib3 is not installed: pip install 'keyhier[azure]'"


@attrs.frozen
class AzureBackend:
    """Opens Azure Key Vaults and Managed HSMs."""

    description: str = "Azure Key Vault and Managed HSM: keys, and a Key Vault's secrets"
    uri_forms: tuple[str, ...] = (
        "https://NAME.vault.azure.net",
        "https://NAME.managedhsm.azure.net",
        "https://127.0.0.1:PORT?ca-file=/path/ca.pem",
    )

    def unavailable(self) -> str | None:
        """Say why the backend cannot be used here, or None if it can."""
        return None if _installed() else _MISSING

    def open(self, uri: VaultUri, options: OpenOptions) -> KeyVaultDriver | ManagedHsmDriver:
        """Make ready to use the vault that the URI names; the first request goes out at first use.

        Raises:
            InvalidInputError: the host is no vault's, an attribute is unknown or malformed, or the
                credential is none.
            NotFoundError: there is no file ``ca-file``.
            UnsupportedError: what it needs is not installed.
        """
        address = VaultAddress.from_uri(uri)
        if not _installed():
            raise UnsupportedError(_MISSING)
        # Loading the rest takes time that only those who open a vault should pay.
        from keyhier_azure.connection import Connection  # noqa: PLC0415
        from keyhier_azure.credentials import credential_source  # noqa: PLC0415
        from keyhier_azure.driver import KeyVaultDriver, ManagedHsmDriver  # noqa: PLC0415

        connection = Connection(address, credential_source(options.credential, address))
        kind = KeyVaultDriver if address.kind is VaultKind.KEY_VAULT else ManagedHsmDriver
        return kind(connection)

    def resources(self, request: FetchResources) -> Iterator[LiveResource]:
        """Yield live resources; see :meth:`keyhier.live.SupportsResources.resources`.

        Raises:
            UnsupportedError: the SDK is not installed.
            KeyhierError: as the protocol says.
        """
        if not _installed():
            raise UnsupportedError(_MISSING)
        from keyhier_azure.arm import fetch  # noqa: PLC0415  # See above.

        return fetch(request)


def _installed() -> bool:
    return find_spec("urllib3") is not None
