"""Secrets as bytes: what is sealed into the vault's file beside its keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keyhier.errors import IntegrityError
from keyhier.identifiers import check_key_name
from keyhier.secret import SecretBytes
from keyhier_memory.packing import MALFORMED, VERSION, Reader, moment, pack, truth, unpack
from keyhier_memory.stored_secrets import KeptSecret, SecretVersion

__all__ = ["decode_secrets", "encode_secrets"]


def encode_secrets(secrets: Iterable[KeptSecret]) -> SecretBytes:
    """Return ``secrets`` with all their versions as bytes; the caller wipes them."""
    listed = list(secrets)
    values = [version.value for secret in listed for version in secret.versions.values()]
    return pack([_describe(secret) for secret in listed], values)


def decode_secrets(encoded: memoryview) -> list[KeptSecret]:
    """Read what :func:`encode_secrets` wrote.

    Raises:
        IntegrityError: the bytes contradict themselves.
    """
    try:
        description, reader = unpack(encoded)
        secrets = [_read_secret(entry, reader) for entry in description]
        whole = not reader.left and len({secret.name.lower() for secret in secrets}) == len(secrets)
    except MALFORMED:
        whole = False
    # Outside of the handler, as the parser's own words could quote what was sealed.
    if not whole:
        raise IntegrityError("the stored secrets contradict themselves")
    return secrets


def _describe(secret: KeptSecret) -> dict[str, object]:
    return {
        "name": secret.name,
        "deleted": secret.deleted,
        "versions": [
            {
                "version": version.version,
                "content_type": version.content_type,
                "tags": dict(version.tags),
                "created": version.created.isoformat(),
                "bytes": len(version.value),
            }
            for version in secret.versions.values()
        ],
    }


def _read_secret(entry: Any, reader: Reader) -> KeptSecret:
    versions = [_read_version(version, reader) for version in entry["versions"]]
    by_version = {version.version: version for version in versions}
    if not versions or len(by_version) != len(versions):
        raise ValueError
    return KeptSecret(check_key_name(entry["name"]), by_version, truth(entry["deleted"]))


def _read_version(entry: Any, reader: Reader) -> SecretVersion:
    content_type, tags = entry["content_type"], dict(entry["tags"])
    texts = [*tags, *tags.values(), *([] if content_type is None else [content_type])]
    if not VERSION.fullmatch(entry["version"]) or not all(isinstance(text, str) for text in texts):
        raise ValueError
    # An empty text is a value too, unlike an empty key.
    value = reader.take(entry["bytes"]) if entry["bytes"] != 0 else SecretBytes(b"")
    created = moment(entry["created"])
    return SecretVersion(entry["version"], value, content_type, tags, created)
