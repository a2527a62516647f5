"""Keys as bytes: what is sealed into the vault's file and into a backup.

The layout is: the length of the description (4 bytes, big-endian), the description (JSON in
UTF-8, without anything secret), then the secret halves one after the other in the order of the
description. So the secrets go from buffer to buffer and never through a string that nobody can
wipe. Nothing here protects anything; the sealing is done by whoever uses it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm, algorithms_for
from keyhier.errors import IntegrityError, KeyhierError
from keyhier.identifiers import check_key_name
from keyhier.secret import SecretBytes
from keyhier_memory.keys import Material, StoredKey, StoredVersion

__all__ = ["decode_keys", "encode_keys"]

_LENGTH_BYTES: Final = 4
_VERSION: Final = re.compile(r"[0-9a-f]{32}")


def encode_keys(keys: Iterable[StoredKey]) -> SecretBytes:
    """Return ``keys`` with all their versions as bytes; the caller wipes them."""
    listed = list(keys)
    secrets = [version.material.secret for key in listed for version in key.versions.values()]
    description = json.dumps([_describe(key) for key in listed], separators=(",", ":")).encode()
    encoded = SecretBytes.allocate(
        _LENGTH_BYTES + len(description) + sum(len(secret) for secret in secrets)
    )
    view = encoded.view()
    view[:_LENGTH_BYTES] = len(description).to_bytes(_LENGTH_BYTES)
    at = _LENGTH_BYTES + len(description)
    view[_LENGTH_BYTES:at] = description
    for secret in secrets:
        view[at : at + len(secret)] = secret.view()
        at += len(secret)
    return encoded


def decode_keys(encoded: memoryview) -> list[StoredKey]:
    """Read what :func:`encode_keys` wrote.

    Raises:
        IntegrityError: the bytes contradict themselves.
    """
    try:
        return _decode(encoded)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, KeyhierError):
        # The parser's own words could quote what was sealed.
        raise IntegrityError("the stored keys contradict themselves") from None


def _decode(encoded: memoryview) -> list[StoredKey]:
    start = _LENGTH_BYTES + int.from_bytes(encoded[:_LENGTH_BYTES])
    description = json.loads(bytes(encoded[_LENGTH_BYTES:start]))
    reader = _Reader(encoded[start:])
    keys = [_read_key(entry, reader) for entry in description]
    if reader.left or len({key.name for key in keys}) != len(keys):
        raise ValueError
    return keys


def _describe(key: StoredKey) -> dict[str, object]:
    return {
        "name": key.name,
        "deleted": key.deleted,
        "versions": [
            {
                "version": version.version,
                "spec": version.material.spec,
                "algorithm": version.material.algorithm,
                "enabled": version.enabled,
                "created": version.created.isoformat(),
                "bytes": len(version.material.secret),
            }
            for version in key.versions.values()
        ],
    }


class _Reader:
    """Hands out the secrets one after the other."""

    def __init__(self, view: memoryview) -> None:
        self._view = view

    def take(self, length: int) -> SecretBytes:
        if not 0 < length <= self.left:
            raise ValueError
        taken, self._view = self._view[:length], self._view[length:]
        return SecretBytes(taken)

    @property
    def left(self) -> int:
        return len(self._view)


def _read_key(entry: Any, reader: _Reader) -> StoredKey:
    versions = [_read_version(version, reader) for version in entry["versions"]]
    by_version = {version.version: version for version in versions}
    if not versions or len(by_version) != len(versions):
        raise ValueError
    return StoredKey(check_key_name(entry["name"]), by_version, _truth(entry["deleted"]))


def _read_version(entry: Any, reader: _Reader) -> StoredVersion:
    spec = KeySpec(entry["spec"])
    if not _VERSION.fullmatch(entry["version"]):
        raise ValueError
    created = datetime.fromisoformat(entry["created"])
    if created.utcoffset() != timedelta(0):
        raise ValueError
    secret = reader.take(entry["bytes"])
    return StoredVersion(
        entry["version"],
        Material.load(spec, _read_algorithm(entry["algorithm"], spec), secret, trusted=True),
        created.astimezone(UTC),
        _truth(entry["enabled"]),
    )


def _read_algorithm(text: Any, spec: KeySpec) -> WrapAlgorithm | None:
    if spec.key_type is KeyType.RSA:
        if text is not None:
            raise ValueError
        return None
    algorithm = WrapAlgorithm(text)
    if algorithm not in algorithms_for(spec):
        raise ValueError
    return algorithm


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value
