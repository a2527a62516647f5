"""WrappedKey: the envelope, a JWE in compact form (RFC 7516, section 3.1).

The KEK wraps a fresh 256-bit content key (``alg``), AES-256-GCM seals the secret (``enc``), and
the protected header (:mod:`keyhier.header`) says which key version opens it, what the secret is,
and what it is bound to. The header as received is the GCM's additional data, so nothing in it can
be altered.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyhier import base64url
from keyhier.algorithms import (
    CONTENT_KEY_BYTES,
    GCM_IV_BYTES,
    GCM_TAG_BYTES,
    KeySpec,
    KeyType,
    WrapAlgorithm,
)
from keyhier.errors import CapacityError, InvalidInputError, UnwrapError
from keyhier.header import MAX_HEADER_CHARACTERS, Header
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes

__all__ = ["MAX_SECRET_BYTES", "WrappedKey", "check_secret_length"]

MAX_SECRET_BYTES: Final = 48 * 1024
"""How much one envelope seals."""

_RSA_KEY_BYTES: Final = frozenset(spec.size for spec in KeySpec if spec.key_type is KeyType.RSA)
_KEY_WRAP_BYTES: Final = frozenset({CONTENT_KEY_BYTES + 8})
_ENCRYPTED_KEY_BYTES: Final[Mapping[WrapAlgorithm, frozenset[int]]] = {
    WrapAlgorithm.RSA_OAEP: _RSA_KEY_BYTES,
    WrapAlgorithm.RSA_OAEP_256: _RSA_KEY_BYTES,
    WrapAlgorithm.A128KW: _KEY_WRAP_BYTES,
    WrapAlgorithm.A192KW: _KEY_WRAP_BYTES,
    WrapAlgorithm.A256KW: _KEY_WRAP_BYTES,
    WrapAlgorithm.A256GCMKW: frozenset({CONTENT_KEY_BYTES}),
}
_MAX_TEXT: Final = (
    MAX_HEADER_CHARACTERS + 4 + sum(-(-4 * size // 3) for size in (512, 12, MAX_SECRET_BYTES, 16))
)


def check_secret_length(length: int) -> None:
    """Raise unless an envelope can hold a secret of ``length`` bytes.

    Raises:
        InvalidInputError: it is empty.
        CapacityError: it has more than 48 KiB.
    """
    if not length:
        raise InvalidInputError("there is nothing to wrap: the secret is empty")
    if length > MAX_SECRET_BYTES:
        raise CapacityError(f"a wrapped key holds at most {MAX_SECRET_BYTES} bytes")


def _check_encrypted_key(algorithm: WrapAlgorithm, length: int) -> None:
    if length not in _ENCRYPTED_KEY_BYTES[algorithm]:
        raise InvalidInputError(
            f"the encrypted key has {length} bytes, which {algorithm} never makes"
        )


class _HeaderRead:
    """Where the header is kept once it was read; it is no part of the value.

    attrs' own cached properties need a ``__getattr__``, which slows every access to any attribute.
    """

    __slots__ = ("_header",)
    _header: Header


@attrs.frozen
class WrappedKey(_HeaderRead):
    """An envelope, immutable and public: it can be printed, stored and sent anywhere.

    ``str(wrapped)`` is the compact JWE, one line; :meth:`parse` reads it back.

    Attributes:
        protected: the header's segment as received; it is the additional data of the seal.
        encrypted_key: the content key under the KEK.
        iv: 12 bytes.
        ciphertext: the sealed secret.
        tag: 16 bytes.
    """

    protected: str = attrs.field(repr=False)
    encrypted_key: bytes = attrs.field(repr=False)
    iv: bytes = attrs.field(repr=False)
    ciphertext: bytes = attrs.field(repr=False)
    tag: bytes = attrs.field(repr=False)

    @property
    def header(self) -> Header:
        """The members of the protected header, checked."""
        header: Header | None = getattr(self, "_header", None)
        if header is None:
            header = Header.decode(self.protected)
            object.__setattr__(self, "_header", header)
        return header

    @property
    def kid(self) -> KeyId:
        """The id of the key version that opens it."""
        return self.header.kid

    @property
    def algorithm(self) -> WrapAlgorithm:
        """How the KEK wrapped the content key."""
        return self.header.algorithm

    @property
    def content_type(self) -> str:
        """What the secret is, such as ``vnd.keyhier.bitlocker``; empty where nothing was said."""
        return self.header.content_type

    @property
    def context(self) -> Mapping[str, str]:
        """What the secret is bound to; readable by everybody."""
        return self.header.context

    @property
    def thumbprint(self) -> str | None:
        """The RSA KEK's thumbprint (RFC 7638), or None."""
        return self.header.thumbprint

    def __str__(self) -> str:
        rest = base64url.join(self.encrypted_key, self.iv, self.ciphertext, self.tag)
        return f"{self.protected}.{rest}"

    @classmethod
    def parse(cls, text: str) -> WrappedKey:
        """Read a compact JWE.

        Only one spelling of each envelope is accepted, and no white space around it.

        Raises:
            InvalidInputError: it is malformed by its public bytes alone; nothing was opened.
        """
        if not isinstance(text, str) or len(text) > _MAX_TEXT:
            raise InvalidInputError(f"a wrapped key is text of at most {_MAX_TEXT} characters")
        if text.count(".") != 4:
            raise InvalidInputError(
                "a wrapped key is a compact JWE: five segments, four full stops"
            )
        protected, _, rest = text.partition(".")
        encrypted_key, iv, ciphertext, tag = base64url.split(rest, 4)
        wrapped = cls(protected, encrypted_key, iv, ciphertext, tag)
        _check_encrypted_key(wrapped.header.algorithm, len(encrypted_key))
        if len(iv) != GCM_IV_BYTES or len(tag) != GCM_TAG_BYTES:
            raise InvalidInputError("the IV of a wrapped key has 12 bytes and its tag 16")
        if not 0 < len(ciphertext) <= MAX_SECRET_BYTES:
            raise InvalidInputError(
                f"the ciphertext of a wrapped key has 1 to {MAX_SECRET_BYTES} bytes"
            )
        return wrapped

    @classmethod
    def seal(
        cls,
        protected: str,
        encrypted_key: bytes,
        content_key: bytes | memoryview,
        plaintext: bytes | bytearray | memoryview,
    ) -> WrappedKey:
        """Seal ``plaintext`` with AES-256-GCM under ``content_key`` (RFC 7516, section 5.1).

        Its length was checked with :func:`check_secret_length`.
        """
        iv = os.urandom(GCM_IV_BYTES)
        sealed = AESGCM(content_key).encrypt(iv, plaintext, protected.encode("ascii"))
        return cls(protected, encrypted_key, iv, sealed[:-GCM_TAG_BYTES], sealed[-GCM_TAG_BYTES:])

    def open(self, content_key: SecretBytes) -> SecretBytes:
        """Open the seal (RFC 7516, section 5.2) and return the secret, which the caller wipes.

        Raises:
            UnwrapError: the tag does not verify.
        """
        if len(self.iv) != GCM_IV_BYTES or len(self.tag) != GCM_TAG_BYTES:
            # Only one that was made by hand and not read can be so.
            raise UnwrapError
        secret = SecretBytes.allocate(len(self.ciphertext))
        try:
            AESGCM(content_key.view()).decrypt_into(
                self.iv, self.ciphertext + self.tag, self.protected.encode("ascii"), secret.view()
            )
        except InvalidTag:
            secret.wipe()
        else:
            return secret
        # Raised out here so that not even the context of the exception tells anything.
        raise UnwrapError
