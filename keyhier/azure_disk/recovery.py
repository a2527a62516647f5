"""Recovery: from a secret, or what a backup kept of it, to the key that unlocks the disk.

What a secret names as its KEK is looked for in the vaults that the caller has opened and nowhere
else, by the exact version that is named: a tag never opens a vault.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from keyhier.algorithms import KeyType, WrapAlgorithm
from keyhier.azure_disk.disk_secret import DiskSecret
from keyhier.azure_disk.labels import KekReference
from keyhier.azure_disk.plaintext import DiskKey, recognise
from keyhier.azure_disk.value import decode_plain, decode_wrapped, looks_wrapped
from keyhier.errors import InvalidInputError, InvalidStateError, NotFoundError, UnwrapError
from keyhier.placement.model import System
from keyhier.secret import SecretBytes

if TYPE_CHECKING:
    from keyhier.identifiers import KeyId
    from keyhier.key import Key
    from keyhier.stored_secret import StoredSecret
    from keyhier.vault import Vault

__all__ = ["find_kek", "open_value", "recover"]


def recover(
    stored: StoredSecret, vaults: Sequence[Vault], *, kek: KekReference | None = None
) -> DiskKey:
    """Open a secret of Azure Disk Encryption; the caller wipes the key.

    Args:
        stored: the secret, with its value.
        vaults: where its KEK may be: mostly the vault of the secret itself.
        kek: what opens it instead of the KEK that its tags name, for a KEK that was restored
            elsewhere, or where the tags name none (Linux, dual-pass).

    Raises:
        InvalidInputError: the labels contradict each other or the value is spelt in another way
            than they say; or it is wrapped and no KEK is named.
        NotFoundError: the KEK is in none of the vaults, or that version of it is gone.
        InvalidStateError: the KEK is disabled or soft-deleted.
        UnsupportedError: the KEK's vault cannot unwrap with that algorithm.
        UnwrapError: what is wrapped does not open, or is no disk key; nothing is said about which.
    """
    if stored.value is None:
        raise InvalidInputError(f"{stored.id} was listed and has no value", remedy="get it first")
    described = DiskSecret.read(stored) if kek is None else None
    system = None if described is None else described.system
    wrapped = True if described is None else described.wrapped
    named = kek if described is None else described.kek
    return open_value(stored.value, system, wrapped=wrapped, kek=named, vaults=vaults)


def open_value(
    value: SecretBytes,
    system: System | None,
    *,
    wrapped: bool | None,
    kek: KekReference | None,
    vaults: Sequence[Vault],
) -> DiskKey:
    """Open a secret's value, of which the labels say so much; see :func:`recover`.

    Args:
        value: the value.
        system: what it opens, or None where that is not known.
        wrapped: whether a KEK wraps it, or None where that is not known.
        kek: which one.
        vaults: where the KEK may be.
    """
    if wrapped is None:
        wrapped = looks_wrapped(value)
    if not wrapped:
        with decode_plain(value) as plaintext:
            return recognise(plaintext, system, proven=True)
    ciphertext = decode_wrapped(value)
    if kek is None:
        raise InvalidInputError(
            "a KEK wraps the secret, and its tags name none",
            remedy="name the KEK's version and the algorithm: the machine's model has them under "
            "encryptionSettings",
        )
    key = find_kek(kek.id, vaults)
    disk_key = None
    with key.unwrap_raw(ciphertext, kek.algorithm) as plaintext:
        # What OAEP lets pass is what was wrapped; RSA1_5 answers garbage with garbage.
        proven = kek.algorithm is not WrapAlgorithm.RSA1_5
        with suppress(InvalidInputError):
            disk_key = recognise(plaintext, system, proven=proven)
    if disk_key is None:
        raise UnwrapError
    return disk_key


def find_kek(kek_id: KeyId, vaults: Sequence[Vault]) -> Key:
    """Return a KEK that can be used now, from one of these vaults.

    Raises:
        NotFoundError: it is in none of them, or that version of it is gone.
        InvalidStateError: it is disabled or soft-deleted.
        InvalidInputError: it is no RSA key.
    """
    home = next((vault for vault in vaults if vault.is_home_of(kek_id)), None)
    if home is None:
        raise NotFoundError(
            f"{kek_id} is in another vault, which is not opened because a tag names it",
            remedy="if that vault is to be trusted, hand it over too",
        )
    try:
        key = home.key(kek_id)
    except NotFoundError as error:
        raise NotFoundError(
            f"the KEK {kek_id} is gone, and nothing else opens the secret",
            native=error.native,
            remedy="recover the key if it was deleted, or restore a backup of it",
        ) from None
    if key.spec.key_type is not KeyType.RSA:
        raise InvalidInputError(f"{kek_id} is an {key.spec} key; a KEK for disks is an RSA key")
    if not key.enabled:
        raise InvalidStateError(
            f"the KEK {kek_id} is disabled", remedy="enable that version, and recover again"
        )
    return key
