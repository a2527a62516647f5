"""PlannedKey: the key at the root of a plan, made or taken as it is."""

from __future__ import annotations

import re
from typing import Final

import attrs

from keyhier.algorithms import KeySpec, KeyType
from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId, check_key_name
from keyhier.placement.model import VaultResource
from keyhier.placement.unknown import NOT_YET, Unknown

__all__ = ["PlannedKey", "host_of"]

_HOST: Final = re.compile(r"[a-z0-9.-]+(:[0-9]+)?")


def host_of(vault: VaultResource) -> str:
    """Return the host of a vault's URL.

    Raises:
        InvalidInputError: it is not known, or none.
    """
    if isinstance(vault.host, Unknown):
        raise InvalidInputError(
            f"the URL of {vault.label} is not known",
            remedy="its document has it as properties.vaultUri",
        )
    # It becomes a part of commands and of ids.
    if not _HOST.fullmatch(vault.host):
        raise InvalidInputError(f"{vault.host!r:.100} is no host of a vault")
    return vault.host


@attrs.frozen(kw_only=True)
class PlannedKey:
    """An RSA key in a vault.

    Attributes:
        name: its name.
        vault: its vault.
        spec: what it is made as, where it has to be made.
        version: its version; empty where that is seen, or made, when the plan is applied.
    """

    name: str = attrs.field(converter=check_key_name)
    vault: VaultResource
    spec: KeySpec = KeySpec.RSA_3072
    version: str = ""

    def __attrs_post_init__(self) -> None:
        if self.spec.key_type is not KeyType.RSA:
            raise InvalidInputError(f"disks are under RSA keys, and {self.spec} is none")

    @property
    def id(self) -> KeyId:
        """Its id, with ``NOT_YET`` for a version that is not known yet."""
        return KeyId("https", host_of(self.vault), self.name, self.version or NOT_YET)
