"""How Azure Disk Encryption labels its secrets: content types, tags, and the KEK they name.

Sources: https://learn.microsoft.com/azure/virtual-machines/windows/disk-encryption-overview,
https://learn.microsoft.com/azure/backup/backup-azure-restore-key-secret, and the extensions' own
code, https://github.com/Azure/azure-linux-extensions/tree/master/VMEncryption.
"""

from __future__ import annotations

from typing import Final, Self

import attrs

from keyhier.algorithms import WrapAlgorithm
from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId

__all__ = [
    "ALGORITHM",
    "ALGORITHMS",
    "FILE_NAME",
    "KEK_URL",
    "MACHINE",
    "PLAIN",
    "VOLUME",
    "WRAPPED",
    "KekReference",
    "read_algorithm",
]

PLAIN: Final = "BEK"
"""The content type without a KEK, of Windows and Linux alike."""

WRAPPED: Final = "Wrapped BEK"
"""The content type with a KEK."""

FILE_NAME: Final = "DiskEncryptionKeyFileName"
KEK_URL: Final = "DiskEncryptionKeyEncryptionKeyURL"
ALGORITHM: Final = "DiskEncryptionKeyEncryptionAlgorithm"
"""Written without a KEK, too, so that it proves nothing."""
MACHINE: Final = "MachineName"
VOLUME: Final = "VolumeLetter"

ALGORITHMS: Final = (WrapAlgorithm.RSA_OAEP, WrapAlgorithm.RSA_OAEP_256, WrapAlgorithm.RSA1_5)
"""What a KEK wraps with, the extensions' default first."""


@attrs.frozen
class KekReference:
    """The key version that a secret is wrapped under, and how.

    Attributes:
        id: the KEK, with its exact version.
        algorithm: one of :data:`ALGORITHMS`.
    """

    id: KeyId
    algorithm: WrapAlgorithm = ALGORITHMS[0]

    def __attrs_post_init__(self) -> None:
        if not self.id.version:
            raise InvalidInputError(
                f"{self.id} names a KEK without its version, and only one version opens what it"
                " wrapped",
                remedy="name the version: Azure Disk Encryption follows no rotation",
            )
        read_algorithm(self.algorithm)

    @classmethod
    def parse(cls, url: str, algorithm: str | None) -> Self:
        """Read the two tags that name a KEK and its algorithm.

        Raises:
            InvalidInputError: the URL names no key version, or the algorithm is missing or unknown.
        """
        # The extensions take a URL with one slash at its end.
        return cls(KeyId.parse(url.removesuffix("/")), read_algorithm(algorithm))


def read_algorithm(name: str | None) -> WrapAlgorithm:
    """Return the algorithm of that name, if it is one that a KEK wraps disk keys with.

    Raises:
        InvalidInputError: it is not, or there is none; case counts.
    """
    if name not in tuple(ALGORITHMS):
        known = ", ".join(ALGORITHMS)
        told = "no algorithm is named" if name is None else f"the algorithm is {name!r:.40}"
        raise InvalidInputError(f"{told}; Azure Disk Encryption wraps with {known}")
    return WrapAlgorithm(name)
