"""A version that is made for a tag, and has it from the moment it exists.

``POST /keys/{name}/rotate`` takes no tags, and whoever is killed between a rotation and the setting
of a tag leaves a version that nobody finds. ``create`` makes a new version where the name is taken,
and takes tags, so it makes one that a rotation would have made
(https://learn.microsoft.com/rest/api/keyvault/keys/create-key/create-key).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from keyhier.algorithms import KeySpec
from keyhier.errors import CapacityError, IntegrityError
from keyhier_azure.keys import UNREADABLE
from keyhier_azure.soft_delete import KEYS, versions_of

__all__ = ["successor_body", "version_tagged"]

_JOB_TAG: Final = "keyhier-job"
_MOST_TAGS: Final = 15  # https://learn.microsoft.com/azure/key-vault/keys/about-keys-details


def version_tagged(items: Iterable[Mapping[str, Any]], tag: str) -> str | None:
    """Return the version that was made for a tag, of a list of a key's versions, or None.

    A rotation by the vault copies the tags of the version before, so the oldest is the one.

    Raises:
        IntegrityError: the list cannot be read.
    """
    try:
        made = [each for each in items if (each.get("tags") or {}).get(_JOB_TAG) == tag]
        made.sort(key=lambda each: int(each["attributes"]["created"]))
    except UNREADABLE as error:
        raise IntegrityError("the vault's list of versions cannot be read") from error
    return next(iter(versions_of(made, KEYS)), None)


def successor_body(
    latest: Mapping[str, Any], spec: KeySpec, tag: str, expires: datetime | None
) -> dict[str, Any]:
    """Return what asks for a version like the latest one, made for a tag.

    Args:
        latest: the latest version's bundle, which was described before and so can be read.
        spec: what that version is.
        tag: what the version is made for.
        expires: from when it is not to wrap, or None.

    Raises:
        CapacityError: the key has as many tags as a vault takes.
    """
    key = latest["key"]
    tags = {**(latest.get("tags") or {}), _JOB_TAG: tag}
    if len(tags) > _MOST_TAGS:
        raise CapacityError(
            f"the key has {_MOST_TAGS} tags, and the vault takes no more",
            remedy=f"remove one, which makes room for {_JOB_TAG}",
        )
    body: dict[str, Any] = {"kty": key["kty"], "key_size": spec.bits, "tags": tags}
    if "key_ops" in key:
        body["key_ops"] = key["key_ops"]
    if expires is not None:
        body["attributes"] = {"exp": int(expires.timestamp())}
    return body
