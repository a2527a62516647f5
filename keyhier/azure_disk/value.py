"""The value of a secret of Azure Disk Encryption: base64 of the key, or base64url of its wrap.

Without a KEK it is standard base64 with padding, of a whole .BEK file or of a passphrase's
characters. With one it is unpadded base64url of the RSA ciphertext, as Key Vault's wrapKey answers.
The two are not interchangeable, and what is spelt in the other's way is refused.
"""

from __future__ import annotations

from typing import Final

from keyhier import base64url, padded_base64
from keyhier.algorithms import KeySpec, KeyType
from keyhier.errors import InvalidInputError
from keyhier.secret import SecretBytes

__all__ = ["decode_plain", "decode_wrapped", "encode_plain", "encode_wrapped", "looks_wrapped"]

_CIPHERTEXT_BYTES: Final = frozenset(spec.size for spec in KeySpec if spec.key_type is KeyType.RSA)
_ONLY_URL: Final = b"-_"
_ONLY_STANDARD: Final = b"+/="


def encode_plain(content: SecretBytes) -> SecretBytes:
    """Write a key that no KEK wraps; the caller wipes the text."""
    return padded_base64.encode(content.view())


def decode_plain(value: SecretBytes) -> SecretBytes:
    """Read a key that no KEK wraps, decoded once; the caller wipes it.

    Raises:
        InvalidInputError: the value is no standard base64; the message says what it looks like.
    """
    try:
        return padded_base64.decode(value.view())
    except InvalidInputError:
        confused = len(value) % 4 != 0 or _any_of(value, _ONLY_URL)
    # Outside of the handler, so that the decoder's own words are no part of it.
    told = "the value is no standard base64"
    if confused and _has_no(value, _ONLY_STANDARD):
        raise InvalidInputError(
            f"{told}; it looks like base64url, as a KEK's wraps are written",
            remedy="if a KEK wrapped it, name that KEK and its algorithm",
        )
    raise InvalidInputError(told)


def encode_wrapped(ciphertext: bytes) -> SecretBytes:
    """Write what a KEK wrapped."""
    return SecretBytes(base64url.encode(ciphertext).encode())


def decode_wrapped(value: SecretBytes) -> bytes:
    """Read what a KEK wrapped.

    Raises:
        InvalidInputError: the value is no unpadded base64url, or of another length than RSA's.
    """
    try:
        ciphertext = base64url.decode(str(value.view(), "ascii"))
    except (InvalidInputError, UnicodeDecodeError):
        ciphertext = None
    if ciphertext is None:
        told = "the value is no unpadded base64url, as a KEK's wraps are written"
        if _any_of(value, _ONLY_STANDARD):
            told += "; it looks like standard base64"
        raise InvalidInputError(told)
    if len(ciphertext) not in _CIPHERTEXT_BYTES:
        sizes = ", ".join(map(str, sorted(_CIPHERTEXT_BYTES)))
        raise InvalidInputError(
            f"the value holds {len(ciphertext)} bytes; a KEK's wrap has one of {sizes}"
        )
    return ciphertext


def looks_wrapped(value: SecretBytes) -> bool:
    """Whether a value whose labels do not say so has the form of a KEK's wrap."""
    try:
        decode_wrapped(value)
    except InvalidInputError:
        return False
    return True


def _any_of(value: SecretBytes, characters: bytes) -> bool:
    return any(character in characters for character in value.view())


def _has_no(value: SecretBytes, characters: bytes) -> bool:
    return not _any_of(value, characters)
