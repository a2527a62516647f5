"""Keys as bytes: what is sealed into the vault's file and into a backup.

The description of the keys and their secret halves are packed by :mod:`keyhier_memory.packing`.
Nothing here protects anything; the sealing is done by whoever uses it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm, algorithms_for
from keyhier.errors import IntegrityError
from keyhier.identifiers import check_key_name
from keyhier.secret import SecretBytes
from keyhier_memory.keys import Material, StoredKey, StoredVersion
from keyhier_memory.packing import MALFORMED, VERSION, Reader, moment, pack, truth, unpack

__all__ = ["decode_keys", "encode_keys"]


def encode_keys(keys: Iterable[StoredKey]) -> SecretBytes:
    """Return ``keys`` with all their versions as bytes; the caller wipes them."""
    listed = list(keys)
    secrets = [version.material.secret for key in listed for version in key.versions.values()]
    return pack([_describe(key) for key in listed], secrets)


def decode_keys(encoded: memoryview) -> list[StoredKey]:
    """Read what :func:`encode_keys` wrote.

    Raises:
        IntegrityError: the bytes contradict themselves.
    """
    try:
        return _decode(encoded)
    except MALFORMED:
        # The parser's own words could quote what was sealed.
        raise IntegrityError("the stored keys contradict themselves") from None


def _decode(encoded: memoryview) -> list[StoredKey]:
    description, reader = unpack(encoded)
    keys = [_read_key(entry, reader) for entry in description]
    if reader.left or len({key.name for key in keys}) != len(keys):
        raise ValueError
    return keys


def _describe(key: StoredKey) -> dict[str, object]:
    return {
        "name": key.name,
        "deleted": key.deleted,
        "versions": [_describe_version(version) for version in key.versions.values()],
    }


def _describe_version(version: StoredVersion) -> dict[str, object]:
    described: dict[str, object] = {
        "version": version.version,
        "spec": version.material.spec,
        "algorithm": version.material.algorithm,
        "enabled": version.enabled,
        "created": version.created.isoformat(),
        "bytes": len(version.material.secret),
    }
    # A release that does not know of it leaves it out again, and then the key stays inside.
    if version.material.extractable:
        described["extractable"] = True
    return described


def _read_key(entry: Any, reader: Reader) -> StoredKey:
    versions = [_read_version(version, reader) for version in entry["versions"]]
    by_version = {version.version: version for version in versions}
    if not versions or len(by_version) != len(versions):
        raise ValueError
    return StoredKey(check_key_name(entry["name"]), by_version, truth(entry["deleted"]))


def _read_version(entry: Any, reader: Reader) -> StoredVersion:
    spec = KeySpec(entry["spec"])
    if not VERSION.fullmatch(entry["version"]):
        raise ValueError
    secret = reader.take(entry["bytes"])
    algorithm = _read_algorithm(entry["algorithm"], spec)
    material = Material.load(spec, algorithm, secret, trusted=True)
    return StoredVersion(
        entry["version"],
        attrs.evolve(material, extractable=truth(entry.get("extractable", False))),
        moment(entry["created"]),
        truth(entry["enabled"]),
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
