"""Keys that are unwrapped into the token for a trial: C_UnwrapKey by each way that there is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pkcs11.constants import Attribute
from pkcs11.mechanisms import Mechanism

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.rsa_wrap import wrap as wrap_locally
from keyhier.secret import SecretBytes
from keyhier_pkcs11 import aes
from keyhier_pkcs11.rsa import OAEP
from keyhier_pkcs11.unwrapping import unwrap_aes_key

if TYPE_CHECKING:
    from pkcs11.types import Object

    from keyhier_pkcs11.binding import BoundKey
    from keyhier_pkcs11.doctor.workbench import Workbench
    from keyhier_pkcs11.templates import Template

__all__ = ["Unwrap", "Way", "unwrap_oaep", "ways_in"]

Unwrap = Callable[["BoundKey", "Template"], "Object"]
"""Unwraps a key with a key, into an object with the attributes of a template."""

Way = Callable[["Workbench"], tuple[int, Unwrap]]
"""Makes a key to unwrap with, and returns its handle and what unwraps another with it."""


def unwrap_oaep(
    key: BoundKey, template: Template, *, algorithm: WrapAlgorithm, wrapped: bytes
) -> Object:
    """Unwrap an AES key that was wrapped with OAEP."""
    return unwrap_aes_key(key, template, Mechanism.RSA_PKCS_OAEP, wrapped, OAEP[algorithm])


def ways_in(bench: Workbench) -> dict[str, Way]:
    """Return by which of its mechanisms the token may unwrap an AES key into itself."""
    ways: dict[str, Way] = {}
    if Mechanism.AES_KEY_WRAP in bench.listed:
        ways["AES key wrap"] = _by_key_wrap
    if Mechanism.RSA_PKCS_OAEP in bench.listed:
        ways.update({name: partial(_by_oaep, algorithm=name) for name in OAEP})
    return ways


def _by_oaep(bench: Workbench, algorithm: WrapAlgorithm) -> tuple[int, Unwrap]:
    key = bench.rsa_key()
    wrapped = wrap_locally(key.public_key, algorithm, SecretBytes.random(KeySpec.AES_256.size))
    return key.handle, partial(unwrap_oaep, algorithm=algorithm, wrapped=wrapped)


def _by_key_wrap(bench: Workbench) -> tuple[int, Unwrap]:
    mechanism = Mechanism.AES_KEY_WRAP
    key = bench.known_aes_key(Attribute.WRAP, Attribute.UNWRAP)
    with SecretBytes.random(KeySpec.AES_256.size) as plaintext:
        wrap = partial(aes.wrap, mechanism=mechanism, plaintext=plaintext, private=bench.private)
        wrapped = bench.attempt("C_WrapKey", key.handle, wrap)
    return key.handle, partial(unwrap_aes_key, mechanism=mechanism, wrapped=wrapped)
