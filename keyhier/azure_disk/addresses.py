"""How Azure Disk Encryption's settings name vaults, secrets and keys, and what it takes.

The extension's own patterns: https://github.com/Azure/azure-linux-extensions, VMEncryption.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from keyhier.azure_disk.labels import KekReference
from keyhier.errors import InvalidInputError
from keyhier.placement.arm_id import ArmId

__all__ = ["KekAddress", "VaultAddress", "check_vault_id"]

VAULT_TYPE: Final = "Microsoft.KeyVault/vaults"
_URL: Final = re.compile(r"https://(?P<host>[a-z0-9.-]+?)(?::443)?/?", re.IGNORECASE)


def check_vault_id(identity: ArmId, host: str) -> ArmId:
    """Return the id if it can be that of the vault at ``host``.

    Raises:
        InvalidInputError: it is no vault's id, or its name is not the host's first label.
    """
    if not identity.is_a(VAULT_TYPE):
        raise InvalidInputError(f"{identity} is no id of a key vault")
    label = host.partition(".")[0]
    if identity.name.casefold() != label.casefold():
        raise InvalidInputError(
            f"the vault's id names {identity.name} and its URL names {label}",
            remedy="give the id and the URL of one vault",
        )
    return identity


@attrs.frozen
class VaultAddress:
    """The vault that holds the secrets.

    Attributes:
        host: the host of its URL, in lower case.
        id: its ARM id; the previous generation can do without.
    """

    host: str
    id: ArmId | None = None

    def __attrs_post_init__(self) -> None:
        if self.id is not None:
            check_vault_id(self.id, self.host)

    @classmethod
    def parse(cls, url: str, identity: ArmId | None = None) -> VaultAddress:
        """Read a vault's URL.

        Raises:
            InvalidInputError: it is of no form that the extension takes, or not that of the id.
        """
        found = _URL.fullmatch(url)
        if found is None:
            raise InvalidInputError(f"{url!r:.200} is no URL of a vault: https://NAME.SUFFIX/")
        return cls(found["host"].casefold(), identity)

    @property
    def url(self) -> str:
        """The vault's URL, with a slash at its end."""
        return f"https://{self.host}/"


@attrs.frozen
class KekAddress(KekReference):
    """A KEK as settings name it: one in a key vault, whose ARM id stands beside it.

    Attributes:
        id: the KEK, with its exact version.
        algorithm: one of :data:`~keyhier.azure_disk.labels.ALGORITHMS`.
        vault: the ARM id of its vault; the previous generation can do without.
    """

    vault: ArmId | None = None

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.id.scheme != "https":
            raise InvalidInputError(f"{self.id} is no key in a key vault")
        if self.vault is not None:
            check_vault_id(self.vault, self.id.vault)
