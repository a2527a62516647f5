"""AES on the token: key wrap (RFC 3394, RFC 5649) and AES-GCM."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pkcs11.constants import Attribute, MechanismFlag
from pkcs11.mechanisms import GCMParams, KeyType, Mechanism

from keyhier.algorithms import GCM_IV_BYTES, GCM_TAG_BYTES, KeySpec
from keyhier.errors import UnsupportedError, UnwrapError
from keyhier.secret import SecretBytes
from keyhier_pkcs11.errors import INCAPABLE, native
from keyhier_pkcs11.templates import kept_in_session, secret_in_session
from keyhier_pkcs11.unwrapping import unwrap_aes_key, unwrap_and_read

if TYPE_CHECKING:
    from keyhier_pkcs11.binding import BoundKey

__all__ = ["gcm_open", "gcm_seal", "unwrap", "wrap", "wrap_inside"]

_KEY_WRAP_OVERHEAD: Final = 8


def wrap(key: BoundKey, mechanism: Mechanism, plaintext: SecretBytes, *, private: bool) -> bytes:
    """Wrap with C_WrapKey, which takes the plaintext as an object: one of this session.

    It is a generic secret, which may have any length. Should the wrap fail, the session is
    closed, and the object goes with it.

    Raises:
        UnsupportedError: the token takes no such object.
    """
    template = secret_in_session(KeyType.GENERIC_SECRET, private=private)
    try:
        held = key.session.create_object({**template, Attribute.VALUE: plaintext.reveal()})
    except INCAPABLE as error:
        raise UnsupportedError(
            "the token takes no content key in the clear, which AES key wrap needs",
            native=native("C_CreateObject", error),
            remedy="use an RSA key, or an AES key for A256GCMKW, which seals inside",
        ) from error
    wrapped: bytes = key.wrap_key(held, mechanism=mechanism)
    held.destroy()
    return wrapped


def unwrap(
    key: BoundKey, mechanism: Mechanism, wrapped: bytes, *, private: bool, tell_length: bool = False
) -> SecretBytes:
    """Unwrap with C_UnwrapKey; see :func:`~keyhier_pkcs11.unwrapping.unwrap_and_read`.

    Args:
        tell_length: whether the token wants to be told how long the result is, which is certain
            without padding (RFC 3394: 8 bytes less).

    Raises:
        UnsupportedError, IntegrityError: as there.
    """
    length = len(wrapped) - _KEY_WRAP_OVERHEAD if tell_length else None
    return unwrap_and_read(key, mechanism, wrapped, private=private, length=length)


def wrap_inside(key: BoundKey, mechanism: Mechanism, *, private: bool) -> None:
    """Let the token make a key, wrap it and unwrap it again; none of them is shown, or stays."""
    sample = key.session.generate_key(
        KeyType.AES,
        KeySpec.AES_256.bits,
        capabilities=MechanismFlag(0),
        mechanism=Mechanism.AES_KEY_GEN,
        template={**kept_in_session((), private=private), Attribute.EXTRACTABLE: True},
    )
    wrapped = key.wrap_key(sample, mechanism=mechanism)
    opened = unwrap_aes_key(key, kept_in_session((), private=private), mechanism, wrapped)
    opened.destroy()
    sample.destroy()


def gcm_seal(key: BoundKey, plaintext: SecretBytes, aad: bytes) -> bytes:
    """Encrypt and authenticate (NIST SP 800-38D); the answer is IV, ciphertext and tag."""
    iv = os.urandom(GCM_IV_BYTES)
    sealed: bytes = key.encrypt(
        plaintext.reveal(), mechanism=Mechanism.AES_GCM, mechanism_param=_parameters(iv, aad)
    )
    return iv + sealed


def gcm_open(key: BoundKey, wrapped: bytes, aad: bytes) -> SecretBytes:
    """Check and decrypt what :func:`gcm_seal` made.

    Raises:
        UnwrapError: it is too short to have been.
    """
    if len(wrapped) < GCM_IV_BYTES + GCM_TAG_BYTES:
        raise UnwrapError
    iv, sealed = wrapped[:GCM_IV_BYTES], wrapped[GCM_IV_BYTES:]
    opened = key.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=_parameters(iv, aad))
    return SecretBytes.adopt(bytearray(opened))


def _parameters(iv: bytes, aad: bytes) -> GCMParams:
    return GCMParams(iv, aad or None, GCM_TAG_BYTES * 8)
