"""How Azure Disk Encryption's settings name vaults, secrets and keys, and what it takes.

The extension's own patterns: https://github.com/Azure/azure-linux-extensions, VMEncryption.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from keyhier.algorithms import WrapAlgorithm
from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId
from keyhier.placement.arm_id import ArmId

__all__ = ["KekAddress", "VaultAddress", "check_vault_id"]

VAULT_TYPE: Final = "Microsoft.KeyVault/vaults"
ALGORITHMS: Final = (WrapAlgorithm.RSA_OAEP, WrapAlgorithm.RSA_OAEP_256, WrapAlgorithm.RSA1_5)
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
class KekAddress:
    """The key that wraps the secrets.

    Attributes:
        key: its id, with the version.
        vault: the ARM id of its vault; the previous generation can do without.
        algorithm: RSA-OAEP, RSA-OAEP-256 or RSA1_5.
    """

    key: KeyId
    vault: ArmId | None = None
    algorithm: WrapAlgorithm = WrapAlgorithm.RSA_OAEP

    def __attrs_post_init__(self) -> None:
        if self.key.scheme != "https" or not self.key.version:
            raise InvalidInputError(
                f"{self.key} is no key in a key vault with its version",
                remedy="name the version: Azure Disk Encryption follows no rotation",
            )
        if self.algorithm not in ALGORITHMS:
            raise InvalidInputError(
                f"Azure Disk Encryption wraps with {', '.join(ALGORITHMS)}, not {self.algorithm}"
            )
        if self.vault is not None:
            check_vault_id(self.vault, self.key.vault)
