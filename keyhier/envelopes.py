"""Envelopes: how one key version seals secrets into JWEs and opens them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from keyhier import rsa_wrap
from keyhier.algorithms import (
    CONTENT_KEY_BYTES,
    ENVELOPE_ALGORITHMS,
    GCM_IV_BYTES,
    GCM_TAG_BYTES,
    KeyType,
    WrapAlgorithm,
    split_gcm,
)
from keyhier.errors import UnsupportedError, UnwrapError
from keyhier.header import Header, finish_header, start_header
from keyhier.kek_operations import KekOperations
from keyhier.secret import PLAIN_BYTES, Secret, SecretBytes, lent
from keyhier.steps import OPENING, Steps
from keyhier.wrapped import WrappedKey, check_secret_length

__all__ = ["Envelopes"]

_OCTET_STREAM: Final = "octet-stream"


class Envelopes:
    """Seals and opens envelopes with one key version; who is told of it is not known here."""

    def __init__(self, kek: KekOperations) -> None:
        self._kek = kek
        self._headers: dict[WrapAlgorithm, str] = {}

    def seal(
        self,
        secret: Secret,
        algorithm: WrapAlgorithm,
        context: Mapping[str, str] | None,
        content_type: str | None,
        timeout: float | None,
    ) -> WrappedKey:
        """Seal a secret; arguments and errors are those of :meth:`Key.wrap`."""
        plaintext: bytes | bytearray | memoryview
        if isinstance(secret, SecretBytes):
            plaintext = secret.view()
        elif isinstance(secret, PLAIN_BYTES):
            plaintext = secret
        else:
            with lent(secret) as copy:
                kind = secret.content_type if content_type is None else content_type
                return self.seal(copy, algorithm, context, kind, timeout)
        start = self._headers.get(algorithm) or self._start_header(algorithm)
        check_secret_length(len(plaintext))
        self._kek.require_wrapping()
        kind = _OCTET_STREAM if content_type is None else content_type
        public_key = self._kek.version.public_key
        if public_key is not None:
            protected = finish_header(start, kind, context)
            # The library takes bytes only, so a buffer to wipe would be one more copy.
            content_key = os.urandom(CONTENT_KEY_BYTES)
            encrypted = public_key.encrypt(content_key, rsa_wrap.PADDINGS[algorithm])
            return WrappedKey.seal(protected, encrypted, content_key, plaintext)
        # Bad input is found before the vault is asked for anything.
        iv = tag = b""
        if algorithm is WrapAlgorithm.A256GCMKW:
            iv, tag = bytes(GCM_IV_BYTES), bytes(GCM_TAG_BYTES)
        protected = finish_header(start, kind, context, iv, tag)
        with SecretBytes.random(CONTENT_KEY_BYTES) as key:
            encrypted = self._kek.wrap(algorithm, key, timeout=timeout)
            if algorithm is WrapAlgorithm.A256GCMKW:
                iv, encrypted, tag = split_gcm(encrypted)
                protected = finish_header(start, kind, context, iv, tag)
            return WrappedKey.seal(protected, encrypted, key.view(), plaintext)

    def _start_header(self, algorithm: WrapAlgorithm) -> str:
        if algorithm not in ENVELOPE_ALGORITHMS:
            raise UnsupportedError(
                f"{algorithm} exists only raw, not in an envelope", remedy="use wrap_raw"
            )
        start = start_header(algorithm, self._kek.version.id, self._kek.thumbprint)
        self._headers[algorithm] = start
        return start

    def open(
        self, envelope: WrappedKey, *, moved: bool, timeout: float | None
    ) -> Steps[SecretBytes]:
        """Open an envelope, whose key and context were compared already, in steps.

        It pauses before the vault unwraps and after; then there is the content key, and no secret
        yet.

        ``moved`` says that an alias chose the key: then an RSA key must prove itself by the
        thumbprint in the header, since anybody can wrap to a public key. The rest is as for
        :meth:`Key.unwrap`.
        """
        header = envelope.header
        if not self._is_named_by(header, len(envelope.encrypted_key), moved=moved):
            yield from OPENING
            raise UnwrapError
        algorithm = header.algorithm
        version = self._kek.version
        if algorithm not in version.algorithms:
            if version.spec.key_type is KeyType.RSA and algorithm.key_type is KeyType.RSA:
                raise UnsupportedError(
                    f"this vault cannot unwrap with {algorithm}; it can with {self._kek.listed()}"
                )
            yield from OPENING
            raise UnwrapError
        bundle = header.key_iv + envelope.encrypted_key + header.key_tag
        yield
        try:
            with self._kek.content_key(algorithm, bundle, timeout) as content_key:
                yield
                return envelope.open(content_key)
        except UnsupportedError as error:
            refusal = error
        # Outside of the handler, so that a failure has no context (promise 3).
        with suppress(UnsupportedError):
            return self._kek.open_inside(envelope, bundle, timeout)
        raise refusal

    def _is_named_by(self, header: Header, key_bytes: int, *, moved: bool) -> bool:
        thumbprint = self._kek.thumbprint
        if thumbprint is None:
            return header.thumbprint is None
        if key_bytes != self._kek.version.spec.size:
            return False
        return header.thumbprint == thumbprint or (header.thumbprint is None and not moved)
