"""Moving a key itself: out of one vault, into another, and proved to be the same there.

The key is in the memory of this process while it moves, in a buffer that is wiped. Its name in the
other vault is known before, so whoever resumes finds what was imported and proves it, and imports
none twice.
"""

from __future__ import annotations

from typing import Final

from keyhier.algorithms import KeyType, WrapAlgorithm
from keyhier.errors import (
    AlreadyExistsError,
    IntegrityError,
    NotFoundError,
    UnsupportedError,
    UnwrapError,
)
from keyhier.identifiers import KeyId
from keyhier.key import Key
from keyhier.secret import SecretBytes
from keyhier.vault import Vault

__all__ = ["move_key", "require_movable"]

_SAMPLE_BYTES: Final = 32


def require_movable(key: Key, to: Vault, name: KeyId) -> None:
    """Look whether a key can be moved, before anything is begun; nothing is changed.

    Args:
        key: the key.
        to: the other vault.
        name: what it is to be called there, without a version.

    Raises:
        UnsupportedError: the key does not leave its vault, or the other one does not take it.
        AlreadyExistsError: the name is taken there.
    """
    able = to.capabilities
    purpose = _purpose(key)
    if not able.imports or key.spec not in able.key_specs:
        raise UnsupportedError(f"{key.id} is {key.spec}, and the other vault takes none such over")
    if purpose is not None and purpose not in able.algorithms:
        raise UnsupportedError(f"{key.id} is for {purpose}, which the other vault lacks")
    try:
        to.key(name)
    except NotFoundError:
        key.export().wipe()
        return
    raise AlreadyExistsError(
        f"there is a key {name} already",
        remedy="migrate to that one without moving the key, or map it to another name",
    )


def move_key(key: Key, to: Vault, name: KeyId) -> Key:
    """Take a key over into another vault, or find it there, and prove that it is the same.

    Raises:
        IntegrityError: there is another key of that name.
        UnsupportedError, InvalidStateError, NotFoundError: as :meth:`Key.export`.
    """
    try:
        moved = to.key(name)
    except NotFoundError:
        moved = _import(key, to, name)
    if not _same(key, moved):
        raise IntegrityError(
            f"{moved.id} is another key than {key.id}",
            remedy="roll the job back, and map the key to a name that is free",
        )
    return moved


def _import(key: Key, to: Vault, name: KeyId) -> Key:
    with key.export() as material:
        try:
            return to.import_key(name.name, material, algorithm=_purpose(key))
        except AlreadyExistsError:
            # Somebody else works on the same job, and was first.
            return to.key(name)


def _purpose(key: Key) -> WrapAlgorithm | None:
    """Return the one algorithm of an AES key; an RSA key has none of its own."""
    return key.algorithms[0] if key.spec.key_type is KeyType.AES else None


def _same(key: Key, moved: Key) -> bool:
    """Whether the other vault opens what only this key wraps."""
    if key.spec != moved.spec or key.thumbprint != moved.thumbprint:
        return False
    purpose = _purpose(key)
    algorithm = purpose or moved.default_algorithm
    # Either public half will do, as they are the same; they prove nothing of the private one.
    wrapping = moved if purpose is None else key
    with SecretBytes.random(_SAMPLE_BYTES) as sample:
        try:
            with moved.unwrap_raw(wrapping.wrap_raw(sample, algorithm), algorithm) as opened:
                return opened == sample
        except UnwrapError:
            return False
