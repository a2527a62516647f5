"""A PKCS#11 token (SoftHSM) against python-pkcs11 with its session and key handle kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pkcs11 import MGF, Mechanism, ObjectClass
from pkcs11.types import DecryptMixin

import keyhier
from benchmarks.memory import BEK, CONTEXT, seal
from benchmarks.pairs import Pair
from keyhier.testing.softhsm import SoftHsm, SoftHsmToken
from keyhier_pkcs11.module import load_module

OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
OAEP_PARAMETERS = (Mechanism.SHA_1, MGF.SHA1, None)


def pairs() -> Iterator[Pair]:
    """Yield the comparisons."""
    hsm = SoftHsm.current()
    token = hsm.new_token()
    with keyhier.open(token.uri) as vault:
        yield from _rsa(vault, token)
    hsm.remove(token)


def _rsa(vault: keyhier.Vault, token: SoftHsmToken) -> Iterator[Pair]:
    kek = vault.create_key("rsa-2048", "RSA-2048")
    public = kek.public_key
    slot = load_module(token.module_path).get_token(token_label=token.label)
    # keyhier is logged in on this token, and a login is the process's, not the session's.
    with slot.open() as session:
        found = session.get_key(object_class=ObjectClass.PRIVATE_KEY, id=bytes.fromhex(kek.version))
        if public is None or not isinstance(found, DecryptMixin):
            raise SystemExit("the token's key is no RSA key pair")
        private = found

        def raw_wrap() -> object:
            key = os.urandom(32)
            return public.encrypt(key, OAEP), seal(key)

        yield Pair(
            "PKCS#11: wrap to a JWE, RSA-2048",
            lambda: str(kek.wrap(BEK, context=CONTEXT)),
            raw_wrap,
            "cryptography: OAEP and AES-GCM",
        )
        text = str(kek.wrap(BEK, context=CONTEXT))
        key = os.urandom(32)
        encrypted = public.encrypt(key, OAEP)
        iv, sealed = seal(key)

        def raw_unwrap() -> object:
            opened = private.decrypt(
                encrypted,
                mechanism=Mechanism.RSA_PKCS_OAEP,
                mechanism_param=OAEP_PARAMETERS,
            )
            return AESGCM(cast("bytes", opened)).decrypt(iv, sealed, b"header")

        yield Pair(
            "PKCS#11: unwrap a JWE, RSA-2048",
            lambda: vault.unwrap(text, context=CONTEXT).wipe(),
            raw_unwrap,
            "python-pkcs11 with a cached handle, and AES-GCM",
            0.9,
        )
