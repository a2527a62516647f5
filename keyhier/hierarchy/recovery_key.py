"""RecoveryKey: the public half of an RSA key that lies offline, for a second envelope.

Such an envelope is a JWE as any other (``RSA-OAEP-256``); its ``kid`` is
``memory:offline-recovery/…`` with the SHA-256 of the public key, which no vault has, so it opens
only with the private half: with :func:`open_recovery`, or with any JOSE library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import attrs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from keyhier import rsa_wrap
from keyhier.algorithms import CONTENT_KEY_BYTES, WrapAlgorithm
from keyhier.errors import InvalidInputError, UnwrapError
from keyhier.header import finish_header, start_header
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes
from keyhier.wrapped import WrappedKey, check_secret_length

__all__ = ["RecoveryKey", "open_recovery"]

_ALGORITHM: Final = WrapAlgorithm.RSA_OAEP_256
_MIN_BITS: Final = 2048
_NAME: Final = "offline-recovery"


@attrs.frozen
class RecoveryKey:
    """An offline recovery key, as those who protect volumes know it.

    Attributes:
        public_key: the public half.
        id: what stands in its envelopes.
    """

    public_key: RSAPublicKey = attrs.field(repr=False, eq=False)
    id: KeyId

    @classmethod
    def from_pem(cls, pem: bytes) -> RecoveryKey:
        """Read the public half (``BEGIN PUBLIC KEY``).

        Raises:
            InvalidInputError: it is no RSA public key of at least 2048 bits.
        """
        key = None
        with suppress(ValueError, UnsupportedAlgorithm):
            key = load_pem_public_key(pem)
        if not isinstance(key, RSAPublicKey):
            raise InvalidInputError(
                "a recovery key is the public half of an RSA key in PEM",
                remedy="openssl rsa -in private.pem -pubout prints it",
            )
        return cls._of(key)

    @classmethod
    def _of(cls, key: RSAPublicKey) -> RecoveryKey:
        if key.key_size < _MIN_BITS:
            raise InvalidInputError(f"a recovery key has at least {_MIN_BITS} bits")
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(key, KeyId("memory", "", _NAME, hashlib.sha256(der).hexdigest()))

    def wrap(
        self, secret: SecretBytes, *, context: Mapping[str, str], content_type: str
    ) -> WrappedKey:
        """Wrap a secret for the owner of the private half.

        Raises:
            InvalidInputError, CapacityError: as :meth:`keyhier.Key.wrap`.
        """
        check_secret_length(len(secret))
        start = start_header(_ALGORITHM, self.id, rsa_wrap.thumbprint(self.public_key))
        protected = finish_header(start, content_type, context)
        with SecretBytes.random(CONTENT_KEY_BYTES) as content_key:
            encrypted = rsa_wrap.wrap(self.public_key, _ALGORITHM, content_key)
            return WrappedKey.seal(protected, encrypted, content_key.view(), secret.view())


def open_recovery(
    wrapped: WrappedKey | str,
    private_pem: SecretBytes,
    *,
    context: Mapping[str, str],
    password: bytes | None = None,
) -> SecretBytes:
    """Open a recovery envelope without any vault; the caller wipes what comes of it.

    Args:
        wrapped: the envelope.
        private_pem: the RSA private key in PEM.
        context: what the envelope is bound to.
        password: of the PEM, where it is encrypted.

    Raises:
        InvalidInputError: the envelope is malformed, or the PEM holds no RSA private key that the
            password opens.
        UnwrapError: it does not open; nothing is said about why.
    """
    envelope = wrapped if isinstance(wrapped, WrappedKey) else WrappedKey.parse(wrapped)
    bound = envelope.header.is_bound_to(context)
    key = None
    with suppress(ValueError, TypeError, UnsupportedAlgorithm):
        # What the library says can quote the material.
        key = load_pem_private_key(private_pem.view(), password)
    if not isinstance(key, RSAPrivateKey):
        raise InvalidInputError(
            "this is no RSA private key in PEM, or the password does not open it"
        )
    known = RecoveryKey._of(key.public_key())  # noqa: SLF001  # It is this module's own.
    if not bound or envelope.kid != known.id or envelope.algorithm is not _ALGORITHM:
        raise UnwrapError
    # What the key rejects goes on with a random content key, so that both ways end at the seal.
    content_key = SecretBytes.random(CONTENT_KEY_BYTES)
    with suppress(ValueError):
        opened = key.decrypt(envelope.encrypted_key, rsa_wrap.PADDINGS[_ALGORITHM])
        if len(opened) == CONTENT_KEY_BYTES:
            content_key = SecretBytes(opened)
    with content_key:
        return envelope.open(content_key)
