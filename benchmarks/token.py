"""A PKCS#11 token (SoftHSM) against python-pkcs11 with its session and key handle kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, cast

import attrs
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pkcs11 import MGF, Mechanism, ObjectClass
from pkcs11.types import DecryptMixin, Token

import keyhier
from benchmarks.memory import BEK, CONTEXT, seal
from benchmarks.pairs import Pair
from keyhier.testing.softhsm import SoftHsm, SoftHsmToken
from keyhier_pkcs11.module import load_module

__all__ = ["OnToken", "key_on_token", "pairs"]

OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
OAEP_PARAMETERS: Final = (Mechanism.SHA_1, MGF.SHA1, None)
RAW: Final = "python-pkcs11 with a cached handle"


@attrs.frozen(eq=False)
class OnToken:
    """An RSA-2048 key on a token of its own, through keyhier and through the raw binding.

    Attributes:
        slot: the token, as python-pkcs11 shows it.
        decrypt: opens what the public key encrypted, in a session and with a handle that are kept.
    """

    token: SoftHsmToken
    slot: Token
    vault: keyhier.Vault
    kek: keyhier.Key
    public: RSAPublicKey
    decrypt: Callable[[bytes], bytes]


@contextmanager
def key_on_token() -> Iterator[OnToken]:
    """Make a token with one key, and open both; the token goes with the process."""
    token = SoftHsm.current().new_token()
    with keyhier.open(token.uri) as vault:
        kek = vault.create_key("rsa-2048", "RSA-2048")
        slot = load_module(token.module_path).get_token(token_label=token.label)
        # keyhier is logged in on this token, and a login is the process's, not the session's.
        with slot.open() as session:
            wanted = bytes.fromhex(kek.version)
            private = session.get_key(object_class=ObjectClass.PRIVATE_KEY, id=wanted)
            if kek.public_key is None or not isinstance(private, DecryptMixin):
                raise SystemExit("the token's key is no RSA key pair")
            decrypt = partial(
                private.decrypt,
                mechanism=Mechanism.RSA_PKCS_OAEP,
                mechanism_param=OAEP_PARAMETERS,
            )
            raw = cast("Callable[[bytes], bytes]", decrypt)
            yield OnToken(token, slot, vault, kek, kek.public_key, raw)


def pairs() -> Iterator[Pair]:
    """Yield the comparisons."""
    with key_on_token() as on_token:
        yield from _wrap(on_token)
        yield from _unwrap(on_token)


def _wrap(on_token: OnToken) -> Iterator[Pair]:
    def raw() -> object:
        key = os.urandom(32)
        return on_token.public.encrypt(key, OAEP), seal(key)

    yield Pair(
        "PKCS#11: wrap to a JWE, RSA-2048",
        lambda: str(on_token.kek.wrap(BEK, context=CONTEXT)),
        raw,
        "cryptography: OAEP and AES-GCM",
    )


def _unwrap(on_token: OnToken) -> Iterator[Pair]:
    key = os.urandom(32)
    encrypted = on_token.public.encrypt(key, OAEP)
    yield Pair(
        "PKCS#11: unwrap raw, RSA-2048",
        lambda: on_token.kek.unwrap_raw(encrypted).wipe(),
        lambda: on_token.decrypt(encrypted),
        RAW,
        0.95,
    )
    text = str(on_token.kek.wrap(BEK, context=CONTEXT))
    iv, sealed = seal(key)
    yield Pair(
        "PKCS#11: unwrap a JWE, RSA-2048",
        lambda: on_token.vault.unwrap(text, context=CONTEXT).wipe(),
        lambda: AESGCM(on_token.decrypt(encrypted)).decrypt(iv, sealed, b"header"),
        f"{RAW}, and AES-GCM",
        0.9,
    )
