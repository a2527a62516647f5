"""Trying mechanisms on values that are known outside, because their names and numbers mislead.

0x210A means RFC 5649 on SoftHSM and PKCS#7 padding on NSS, 0x2109 adds a padding on older AWS
CloudHSM, and AES-GCM takes no IV from outside there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType as CkKeyType
from pkcs11.mechanisms import Mechanism

from keyhier.algorithms import GCM_IV_BYTES, KeySpec, WrapAlgorithm
from keyhier.errors import UnsupportedError, UnwrapError
from keyhier.rsa_wrap import wrap as wrap_locally
from keyhier.secret import SecretBytes
from keyhier_pkcs11 import aes, rsa
from keyhier_pkcs11.binding import BoundKey, handle_of
from keyhier_pkcs11.errors import (
    INCAPABLE,
    REJECTED,
    ambiguous,
    clearly_lost,
    too_small,
    translated,
)
from keyhier_pkcs11.profile import Way
from keyhier_pkcs11.search import search
from keyhier_pkcs11.templates import (
    AES_USAGES,
    kept_in_session,
    rsa_private_key,
    rsa_public_key,
    secret_in_session,
)
from keyhier_pkcs11.unwrapping import unwrap_aes_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from pkcs11.types import Object

    from keyhier_pkcs11.session import Connection

__all__ = [
    "CannotTryError",
    "KeyWrap",
    "try_gcm",
    "try_key_wrap",
    "try_oaep",
    "try_oaep_with_any_key",
    "try_oaep_with_new_key",
]

_T = TypeVar("_T")


class CannotTryError(Exception):
    """The token takes no key of known value, so nothing can be proved."""


@attrs.frozen
class KeyWrap:
    """A mechanism for AES key wrap, with or without padding, as far as it proved to be the RFC's.

    Attributes:
        mechanism: the mechanism, which unwraps correctly.
        wraps_multiples: whether it wraps correctly what is a multiple of 8 bytes.
        wraps_all: whether it wraps every length correctly.
        tell_length: whether it wants to be told how long the result of C_UnwrapKey is.
    """

    mechanism: Mechanism
    wraps_multiples: bool
    wraps_all: bool
    tell_length: bool = False

    def wraps(self, length: int) -> bool:
        """Whether it wraps ``length`` bytes as the RFC says."""
        return self.wraps_all or (self.wraps_multiples and length % 8 == 0)


def try_key_wrap(
    connection: Connection,
    mechanism: Mechanism,
    outside: Callable[[bytes, bytes], bytes],
    lengths: Sequence[int],
    *,
    tell_length: bool = False,
) -> KeyWrap | None:
    """Wrap and unwrap with a key of known value, and compare with ``outside``.

    Args:
        outside: the RFC's wrap in software, of key and plaintext.
        lengths: of the plaintexts to try; the first is a multiple of 8.

    Returns:
        None where it unwraps anything otherwise than the RFC says.

    Raises:
        CannotTryError: the token takes no such key.
        UnavailableError: it is not there.
    """
    private = connection.logged_in
    with _known_key(connection, (Attribute.WRAP, Attribute.UNWRAP)) as (value, handle):
        opens, seals = [], []
        for length in lengths:
            plaintext = os.urandom(length)
            wrapped = outside(value, plaintext)
            unwrap = partial(
                aes.unwrap,
                mechanism=mechanism,
                wrapped=wrapped,
                private=private,
                tell_length=tell_length,
            )
            opens.append(_attempt(connection, handle, unwrap) == plaintext)
            with SecretBytes(plaintext) as secret:
                wrap = partial(aes.wrap, mechanism=mechanism, plaintext=secret, private=private)
                seals.append(_attempt(connection, handle, wrap) == wrapped)
    return KeyWrap(mechanism, seals[0], all(seals), tell_length) if all(opens) else None


def try_gcm(connection: Connection) -> bool:
    """Whether AES-GCM with an IV from outside is what NIST SP 800-38D says, both ways.

    Raises:
        CannotTryError, UnavailableError: as :func:`try_key_wrap`.
    """
    plaintext, aad = os.urandom(KeySpec.AES_256.size), b"additional"
    with _known_key(connection, (Attribute.ENCRYPT, Attribute.DECRYPT)) as (value, handle):
        iv = os.urandom(GCM_IV_BYTES)
        outside = iv + AESGCM(value).encrypt(iv, plaintext, aad)
        unseal = partial(aes.gcm_open, wrapped=outside, aad=aad)
        if _attempt(connection, handle, unseal) != plaintext:
            return False
        with SecretBytes(plaintext) as secret:
            sealed = _attempt(connection, handle, partial(aes.gcm_seal, plaintext=secret, aad=aad))
    if sealed is None:
        return False
    try:
        return AESGCM(value).decrypt(sealed[:GCM_IV_BYTES], sealed[GCM_IV_BYTES:], aad) == plaintext
    except InvalidTag:
        return False


def try_oaep(
    connection: Connection,
    handle: int,
    public_key: RSAPublicKey,
    algorithms: Sequence[WrapAlgorithm],
    way: Way,
) -> list[WrapAlgorithm]:
    """Return those of ``algorithms`` that an RSA key on the token opens in this way.

    What C_UnwrapKey opens may stay inside: a token may show no key.

    Raises:
        UnavailableError: the token is not there.
    """
    private = connection.logged_in
    works: list[WrapAlgorithm] = []
    for algorithm in algorithms:
        plaintext = SecretBytes.random(32)
        wrapped = wrap_locally(public_key, algorithm, plaintext)
        opened: Callable[[BoundKey], SecretBytes] = (
            partial(rsa.decrypt, algorithm=algorithm, wrapped=wrapped)
            if way is Way.DECRYPT
            else partial(rsa.unwrap, algorithm=algorithm, wrapped=wrapped, private=private)
        )
        if _attempt(connection, handle, opened) == plaintext or (
            way is Way.UNWRAP and _unwraps_inside(connection, handle, algorithm, wrapped, plaintext)
        ):
            works.append(algorithm)
    return works


def _unwraps_inside(
    connection: Connection,
    handle: int,
    algorithm: WrapAlgorithm,
    wrapped: bytes,
    content_key: SecretBytes,
) -> bool:
    """Whether an AES key that the token unwraps and does not show opens what it sealed outside."""
    sample, iv = os.urandom(16), os.urandom(GCM_IV_BYTES)
    sealed = iv + AESGCM(content_key.view()).encrypt(iv, sample, None)
    template = kept_in_session(AES_USAGES[WrapAlgorithm.A256GCM], private=connection.logged_in)

    def unwrap_and_open(key: BoundKey) -> SecretBytes:
        made = unwrap_aes_key(key, template, Mechanism.RSA_PKCS_OAEP, wrapped, rsa.OAEP[algorithm])
        opened = aes.gcm_open(
            BoundKey(key.session, handle_of(made), connection.module), sealed, b""
        )
        made.destroy()
        return opened

    return _attempt(connection, handle, unwrap_and_open) == sample


def try_oaep_with_any_key(
    connection: Connection, algorithms: Sequence[WrapAlgorithm], way: Way, usage: Attribute
) -> list[WrapAlgorithm]:
    """Try with the first key of the token that is for this, where it makes none to try with.

    Raises:
        CannotTryError: there is no such key.
        UnavailableError: the token is not there.
    """
    wanted = {
        Attribute.CLASS: ObjectClass.PRIVATE_KEY,
        Attribute.KEY_TYPE: CkKeyType.RSA,
        usage: True,
    }
    try:
        with connection.session() as session:
            there = next(iter(search(session, wanted)), None)
            if there is None:
                raise CannotTryError
            return try_oaep(connection, handle_of(there), _public_half(there), algorithms, way)
    except PKCS11Error as error:
        raise translated(error, "C_FindObjects", "looking for a key to try") from error


def try_oaep_with_new_key(
    connection: Connection,
    algorithms: Sequence[WrapAlgorithm],
    way: Way,
    usages: tuple[Attribute, ...],
) -> list[WrapAlgorithm]:
    """Try with a key pair made for it, which is gone when the trial is over.

    Raises:
        CannotTryError: the token makes none.
        UnavailableError: it is not there.
    """
    private = connection.logged_in
    public_template = rsa_public_key("", b"", KeySpec.RSA_2048.bits)
    private_template = rsa_private_key("", b"", extractable=False, private=private, usages=usages)
    private_template[Attribute.TOKEN] = False
    try:
        with connection.session() as session:
            public, secret = session.generate_keypair(
                CkKeyType.RSA,
                KeySpec.RSA_2048.bits,
                capabilities=MechanismFlag(0),
                public_template=public_template,
                private_template=private_template,
            )
            works = try_oaep(connection, handle_of(secret), _public_half(public), algorithms, way)
            public.destroy()
            secret.destroy()
    except INCAPABLE:
        raise CannotTryError from None
    except PKCS11Error as error:
        raise translated(error, "C_GenerateKeyPair", "making a key pair to try") from error
    return works


def _public_half(key: Object) -> RSAPublicKey:
    numbers = key.get_attributes([Attribute.MODULUS, Attribute.PUBLIC_EXPONENT])
    return rsa.public_key_of(
        int.from_bytes(numbers[Attribute.MODULUS]),
        int.from_bytes(numbers[Attribute.PUBLIC_EXPONENT]),
    )


@contextmanager
def _known_key(
    connection: Connection, usages: tuple[Attribute, Attribute]
) -> Iterator[tuple[bytes, int]]:
    """Put an AES key of known value on the token, for the session."""
    value = os.urandom(KeySpec.AES_256.size)
    template = secret_in_session(CkKeyType.AES, private=connection.logged_in, usages=usages)
    with connection.session() as session:
        try:
            held = session.create_object({**template, Attribute.VALUE: value})
        except INCAPABLE:
            raise CannotTryError from None
        except PKCS11Error as error:
            raise translated(error, "C_CreateObject", "making a key to try") from error
        yield value, handle_of(held)
        try:
            held.destroy()
        except PKCS11Error as error:
            raise translated(error, "C_DestroyObject", "destroying the key again") from error


def _attempt(connection: Connection, handle: int, operation: Callable[[BoundKey], _T]) -> _T | None:
    """Run a trial; None says that the token cannot, an error that it is not there."""
    try:
        with connection.session() as session:
            return operation(BoundKey(session, handle, connection.module))
    except (UnsupportedError, UnwrapError):
        return None
    except PKCS11Error as error:
        if isinstance(error, (*INCAPABLE, *REJECTED)) or too_small(error):
            return None
        # A token that was lost for a moment may be able all the same.
        if ambiguous(error) and not clearly_lost(error) and connection.alive():
            return None
        raise translated(error, "C_Decrypt", "trying a mechanism") from error
