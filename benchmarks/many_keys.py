"""A thousand keys against one: open in a vault, and on a PKCS#11 token (SoftHSM)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pkcs11 import Attribute, KeyType, ObjectClass

import keyhier
from benchmarks.memory import BEK, CONTEXT
from benchmarks.pairs import Pair
from benchmarks.token import OnToken, key_on_token

__all__ = ["pairs"]

MANY: Final = 1000
NEVER_SLOWER: Final = 0.97
"""What one way is to another of the same speed, in the noise of a shared machine."""


def pairs() -> Iterator[Pair]:
    """Yield the comparisons."""
    with ExitStack() as stack:
        one = stack.enter_context(keyhier.open("memory:"))
        many = stack.enter_context(keyhier.open("memory:"))
        yield _open_keys(one, many)
        alone = stack.enter_context(key_on_token())
        crowded = stack.enter_context(key_on_token())
        _crowd(crowded)
        yield from _on_token(alone, crowded)


def _open_keys(one: keyhier.Vault, many: keyhier.Vault) -> Pair:
    private = rsa.generate_private_key(65537, 2048)
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    alone, among = (vault.import_key("kek", der) for vault in (one, many))
    # AES keys, which are made in no time.
    for number in range(1, MANY):
        many.create_key(f"other-{number}", "AES-256")
    return Pair(
        f"memory: wrap to a JWE, {MANY:,} keys open",
        lambda: str(among.wrap(BEK, context=CONTEXT)),
        lambda: str(alone.wrap(BEK, context=CONTEXT)),
        "the same with one key open",
        NEVER_SLOWER,
    )


def _crowd(on_token: OnToken) -> None:
    """Put other keys on the token."""
    with on_token.slot.open(rw=True) as session:
        for number in range(MANY):
            session.create_object(
                {
                    Attribute.CLASS: ObjectClass.SECRET_KEY,
                    Attribute.KEY_TYPE: KeyType.AES,
                    Attribute.TOKEN: True,
                    Attribute.LABEL: f"other-{number}",
                    Attribute.ID: number.to_bytes(2),
                    Attribute.VALUE: os.urandom(32),
                }
            )


def _on_token(alone: OnToken, crowded: OnToken) -> Iterator[Pair]:
    encrypted = {each: each.kek.wrap_raw(bytes(32)) for each in (alone, crowded)}
    yield Pair(
        f"PKCS#11: unwrap raw, {MANY:,} objects on the token",
        lambda: crowded.kek.unwrap_raw(encrypted[crowded]).wipe(),
        lambda: alone.kek.unwrap_raw(encrypted[alone]).wipe(),
        "the same with one object",
        NEVER_SLOWER,
    )
    yield Pair(
        f"PKCS#11: find a key by its name, {MANY:,} objects on the token",
        lambda: crowded.vault.key(crowded.kek.name),
        lambda: alone.vault.key(alone.kek.name),
        "the same with one object",
    )
