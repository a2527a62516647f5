"""Protection: from a disk key to the secret that Azure Disk Encryption would have written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import attrs

from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm, capacity
from keyhier.azure_disk import labels
from keyhier.azure_disk.disk_secret import LINUX_FILE, drive_letter
from keyhier.azure_disk.labels import read_algorithm
from keyhier.azure_disk.plaintext import DiskKey
from keyhier.azure_disk.retirement import RETIREMENT
from keyhier.azure_disk.value import encode_plain, encode_wrapped
from keyhier.errors import CapacityError, IntegrityError, InvalidInputError, UnsupportedError
from keyhier.stored_secret import SetSecret, StoredSecret
from keyhier.volume import BitLockerKey

if TYPE_CHECKING:
    from keyhier.key import Key
    from keyhier.secret import SecretBytes

__all__ = ["Placing", "check_room", "machine_tag", "protect", "remarks", "tags_of"]

_MACHINE: Final = re.compile(r"[\w-]+")
_DISK: Final = re.compile(r"[0-9]+_[0-9]+")


@attrs.frozen
class Placing:
    """Which disk a key is of.

    Attributes:
        machine: the machine's host name, or nothing where it is not known.
        volume: Windows: its letter, such as ``C:\\``. Linux: ``os``, or CONTROLLER_LUN of a data
            disk, such as ``1_0``.
        dual_pass: whether it is labelled as by the older extension, with which the machine itself
            wrote the secret. On Windows the two look alike.
    """

    machine: str = ""
    volume: str = ""
    dual_pass: bool = False


def protect(
    disk_key: DiskKey,
    placing: Placing,
    *,
    kek: Key | None = None,
    algorithm: WrapAlgorithm | str | None = None,
) -> SetSecret:
    """Return the secret to set; the caller wipes its value.

    With a KEK the key is wrapped with the KEK's public half, and opened once and compared before
    the secret is handed out.

    Args:
        disk_key: what unlocks the disk.
        placing: which disk that is.
        kek: an RSA key of 2,048 bits or more, of Key Vault; without one whoever reads the secret
            has the disk's key.
        algorithm: one of :data:`~keyhier.azure_disk.labels.ALGORITHMS`, the first by default.

    Raises:
        InvalidInputError: the machine, the volume or the algorithm is none.
        CapacityError: the disk key is too long for the KEK and algorithm; nothing was sent.
        UnsupportedError: the KEK is no RSA key, or in a vault that Azure cannot reach.
        InvalidStateError: the KEK is disabled.
        IntegrityError: what was wrapped does not open again.
    """
    chosen = read_algorithm(labels.ALGORITHMS[0] if algorithm is None else str(algorithm))
    bek = disk_key if isinstance(disk_key, BitLockerKey) else None
    name = str(uuid4()) if bek is None else str(bek.identifier).upper()
    tags = tags_of(disk_key, placing, chosen)
    content_type: str | None = labels.PLAIN if kek is None else labels.WRAPPED
    if placing.dual_pass and bek is None:
        content_type = None
    elif kek is not None:
        tags[labels.KEK_URL] = str(kek.id)
    with disk_key.to_secret() as content:
        value = encode_plain(content) if kek is None else _wrap(content, kek, chosen)
    return SetSecret(name, value, content_type, tags)


def remarks(
    disk_key: DiskKey,
    kek: Key | None,
    *,
    asked: SetSecret | None = None,
    before: StoredSecret | None = None,
) -> tuple[str, ...]:
    """Return what whoever protects a disk this way has to know, a sentence each.

    Args:
        disk_key: what unlocks the disk.
        kek: what wraps it, or None.
        asked: the secret that is set.
        before: the secret of that name that the vault has already, or None.
    """
    told = [
        f"Azure Disk Encryption ends on {RETIREMENT}: encrypted disks unlock no more then",
    ]
    if kek is None:
        told.append("no KEK wraps it: whoever may read the secret has the disk's key")
    elif kek.spec is KeySpec.RSA_2048 and isinstance(disk_key, BitLockerKey):
        told.append("Windows Server 2022 and Windows 11 do not work with a KEK of 2048 bits")
    if asked is not None and before is not None:
        told += _relabelled(before.tags, asked.tags)
    return tuple(told)


def _relabelled(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Tell that a key was labelled for another disk, whose secret it may still be."""
    for name, what in ((labels.MACHINE, "machine"), (labels.VOLUME, "volume")):
        old, new = before.get(name, ""), now.get(name, "")
        if old and old.casefold() != new.casefold():
            yield (
                f"the vault has this key for the {what} {old!r:.80} already, and it is found under"
                f" {f'{new!r:.80}' if new else f'no {what}'} from now on"
            )


def machine_tag(name: str) -> str:
    """Return a machine's name as the extension labels a secret: nothing where a tag has no room."""
    return name if _MACHINE.fullmatch(name) else ""


def tags_of(disk_key: DiskKey, placing: Placing, algorithm: WrapAlgorithm) -> dict[str, str]:
    """Return the tags of a disk key's secret, without the one that names a KEK.

    Raises:
        InvalidInputError: the machine or the volume is none that a tag can hold.
    """
    if placing.machine and not _MACHINE.fullmatch(placing.machine):
        raise InvalidInputError(
            f"{placing.machine!r:.80} is no host name that the tag {labels.MACHINE} can hold: "
            "letters, digits, hyphens and underscores",
            remedy="leave it out, as the extension does with such a name",
        )
    # It is written without a KEK, too.
    tags = {labels.ALGORITHM: algorithm.value}
    if isinstance(disk_key, BitLockerKey):
        letter = drive_letter(placing.volume)
        if placing.volume and not letter:
            raise InvalidInputError(f"{placing.volume!r:.80} is no volume's letter, such as C:")
        tags[labels.FILE_NAME] = disk_key.filename
        tags[labels.VOLUME] = f"{letter}:\\" if letter else ""
    else:
        tags[labels.FILE_NAME] = _linux_file(placing.volume)
        if placing.dual_pass:
            if placing.machine:
                raise InvalidInputError(
                    "the older extension's secrets of Linux machines name no machine",
                    remedy="leave the machine out",
                )
            return tags
    tags[labels.MACHINE] = placing.machine
    return tags


def _linux_file(volume: str) -> str:
    if volume.lower() in ("", "os", LINUX_FILE.lower()):
        return LINUX_FILE
    if not _DISK.fullmatch(volume):
        raise InvalidInputError(
            f"{volume!r:.80} is no disk of a Linux machine: os, or CONTROLLER_LUN such as 1_0"
        )
    return f"{LINUX_FILE}_{volume}"


def _wrap(content: SecretBytes, kek: Key, algorithm: WrapAlgorithm) -> SecretBytes:
    if kek.spec.key_type is not KeyType.RSA:
        raise UnsupportedError(f"{kek.id} is an {kek.spec} key; a KEK for disks is an RSA key")
    if kek.id.scheme not in ("https", "memory"):
        raise UnsupportedError(
            f"{kek.id} is in a vault that Azure cannot reach",
            remedy="import the key into Key Vault, and name it there",
        )
    check_room(content, kek.spec, algorithm)
    wrapped = kek.wrap_raw(content, algorithm)
    with kek.unwrap_raw(wrapped, algorithm) as opened:
        same = opened == content
    if not same:
        raise IntegrityError(
            f"what {kek.id} wrapped with {algorithm} does not open again; nothing was set"
        )
    return encode_wrapped(wrapped)


def check_room(content: SecretBytes, spec: KeySpec, algorithm: WrapAlgorithm) -> None:
    """Raise unless a KEK of this kind can wrap a disk's key.

    Raises:
        CapacityError: the disk's key is too long; the remedy names a KEK that takes it.
    """
    length = len(content)
    if length <= capacity(algorithm, spec):
        return
    rsa = [other for other in KeySpec if other.key_type is KeyType.RSA]
    larger = next((other for other in rsa if capacity(algorithm, other) >= length), None)
    raise CapacityError(
        f"the disk key has {length} bytes, and a KEK of {spec} takes "
        f"{capacity(algorithm, spec)} with {algorithm}",
        remedy="no KEK takes so many" if larger is None else f"use a KEK of {larger} or more",
    )
