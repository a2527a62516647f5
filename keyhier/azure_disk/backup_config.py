"""vmencryption_config.json: what Azure Backup keeps of a machine's secret and KEK.

Its member ``OsDiskKeyAndSecretDetails`` has ``SecretData``, the secret's value as it was,
``SecretUrl`` and ``KeyUrl``, what the two were called, and ``KeyBackupData`` and
``KeyVaultSecretBackupData``, base64 of what Key Vault's own backups gave. It names no algorithm and
no tags. Source: https://learn.microsoft.com/azure/backup/backup-azure-restore-key-secret
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from keyhier import padded_base64
from keyhier.azure_disk import labels
from keyhier.azure_disk.labels import KekReference
from keyhier.azure_disk.plaintext import DiskKey
from keyhier.azure_disk.protection import Placing, tags_of
from keyhier.azure_disk.recovery import open_value
from keyhier.errors import InvalidInputError
from keyhier.secret import SecretBytes
from keyhier.stored_secret import SecretId, SetSecret

if TYPE_CHECKING:
    from keyhier.vault import Vault

__all__ = ["BackupConfig"]

_DETAILS: Final = "OsDiskKeyAndSecretDetails"


@attrs.frozen
class BackupConfig:
    """What a backup kept.

    Attributes:
        secret_id: what the secret was called.
        value: its value, which is wiped with this: use it as a context manager.
        kek_url: the KEK that wraps it, or None.
        key_backup: the KEK's backup, which only Key Vault opens
            (:meth:`keyhier.Vault.restore_key`), or None.
    """

    secret_id: SecretId
    value: SecretBytes = attrs.field(repr=False, eq=False)
    kek_url: str | None = None
    key_backup: bytes | None = attrs.field(default=None, repr=False)

    @classmethod
    def parse(cls, content: SecretBytes) -> Self:
        """Read the file.

        Raises:
            InvalidInputError: it is no such file, or lacks the secret's value or URL.
        """
        details = _details(content)
        value = _text(details, "SecretData")
        url = _text(details, "SecretUrl")
        if value is None or url is None:
            raise InvalidInputError(f"{_DETAILS} has no SecretData or no SecretUrl")
        return cls(
            SecretId.parse(url.removesuffix("/")),
            SecretBytes(value.encode()),
            _text(details, "KeyUrl"),
            _backup(_text(details, "KeyBackupData")),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.value.wipe()

    def kek(self, algorithm: str | None = None) -> KekReference | None:
        """Return what opens it, with the extensions' default where no algorithm is given.

        Raises:
            InvalidInputError: the backup's KeyUrl names no key version, or the algorithm is none.
        """
        if self.kek_url is None:
            return None
        return KekReference.parse(self.kek_url, algorithm or labels.ALGORITHMS[0].value)

    def open(self, kek: KekReference | None, vaults: Sequence[Vault]) -> DiskKey:
        """Open the value; the caller wipes the key.

        Args:
            kek: what opens it, or None where no KEK wraps it.
            vaults: where the KEK may be.

        Raises:
            InvalidInputError, NotFoundError, InvalidStateError, UnsupportedError, UnwrapError: as
                :func:`~keyhier.azure_disk.recover`.
        """
        return open_value(self.value, None, wrapped=kek is not None, kek=kek, vaults=vaults)

    def as_secret(
        self, disk_key: DiskKey, kek: KekReference | None, *, machine: str = ""
    ) -> SetSecret:
        """Return the secret to set again, its value verbatim; the caller wipes that.

        Args:
            disk_key: what the value was seen to hold.
            kek: what opened it, or None where no KEK wraps it.
            machine: the machine's host name, where it is known.

        Raises:
            InvalidInputError: the machine is no host name.
        """
        algorithm = labels.ALGORITHMS[0] if kek is None else kek.algorithm
        tags = tags_of(disk_key, Placing(machine), algorithm)
        if kek is not None:
            tags[labels.KEK_URL] = str(kek.id)
        content_type = labels.PLAIN if kek is None else labels.WRAPPED
        return SetSecret(self.secret_id.name, SecretBytes(self.value.view()), content_type, tags)


def _details(content: SecretBytes) -> Mapping[str, Any]:
    try:
        document = json.loads(str(content.view(), "utf-8-sig"))
        details = document[_DETAILS]
    except (ValueError, KeyError, TypeError, RecursionError):
        details = None
    # Outside of the handler: what a parser says quotes what it reads.
    if not isinstance(details, dict):
        raise InvalidInputError(f"this is no vmencryption_config.json: it has no {_DETAILS}")
    return details


def _text(details: Mapping[str, Any], name: str) -> str | None:
    value = details.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidInputError(f"{_DETAILS}.{name} is no text")
    return value or None


def _backup(text: str | None) -> bytes | None:
    if text is None:
        return None
    with SecretBytes(text.encode()) as encoded, padded_base64.decode(encoded.view()) as decoded:
        return decoded.reveal()
