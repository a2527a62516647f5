"""Disk secrets for tests, put together by hand as the facts have them, and small vaults."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any, Final

from keyhier.secret import SecretBytes
from keyhier.stored_secret import SecretId, StoredSecret
from keyhier.volume import BitLockerKey, LinuxPassphrase
from keyhier.volume.bitlocker import ADE_DESCRIPTION

GUID: Final = "EF7B2F5A-4D5A-4D7F-8B0A-0123456789AB"
VERSION: Final = "0" * 32
KEK_URL: Final = f"https://contoso.vault.azure.net:443/keys/Kek/{VERSION}"


def ade_bek() -> BitLockerKey:
    """A key as Azure Disk Encryption makes it, 200 bytes long."""
    return BitLockerKey.generate(description=ADE_DESCRIPTION)


def content_of(disk_key: BitLockerKey | LinuxPassphrase) -> bytes:
    with disk_key.to_secret() as secret:
        return secret.reveal()


def stored(value: bytes | str | None = None, **fields: Any) -> StoredSecret:
    """A secret of Contoso's; by default it has no value and no labels."""
    text = value.encode() if isinstance(value, str) else value
    name = fields.pop("name", GUID)
    fields.setdefault("created", datetime(2026, 11, 23, tzinfo=UTC))
    return StoredSecret(
        SecretId("contoso.vault.azure.net", name, fields.pop("version", VERSION)),
        None if text is None else SecretBytes(text),
        **fields,
    )


def windows_tags(**changed: str) -> dict[str, str]:
    """The tags of a Windows volume without a KEK."""
    return {
        "DiskEncryptionKeyFileName": f"{GUID}.BEK",
        "DiskEncryptionKeyEncryptionAlgorithm": "RSA-OAEP",
        "MachineName": "web-01",
        "VolumeLetter": "C:\\",
        **changed,
    }


def linux_tags(**changed: str) -> dict[str, str]:
    """The tags of a Linux machine without a KEK, single-pass."""
    return {
        "DiskEncryptionKeyFileName": "LinuxPassPhraseFileName",
        "DiskEncryptionKeyEncryptionAlgorithm": "RSA-OAEP",
        "MachineName": "db-01",
        **changed,
    }


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def base64url_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
