"""The routes of what keys do, and what a key's state allows."""

from __future__ import annotations

import os
from typing import Final

from keyhier.testing.keyvault import operations
from keyhier.testing.keyvault.clock import Clock
from keyhier.testing.keyvault.keys import Keys, KeyVersion
from keyhier.testing.keyvault.messages import Answer, Document, Request, bytes_of, text_of
from keyhier.testing.keyvault.operations import Sealed
from keyhier.testing.keyvault.service_error import ServiceError, bad_parameter, forbidden

__all__ = ["KeyOperations", "random_bytes"]

# Of what was made before, nothing is locked in: these go on with a key outside nbf and exp.
# https://learn.microsoft.com/azure/key-vault/keys/about-keys-details#date-time-controlled-operations
_WHENEVER: Final = frozenset({"decrypt", "unwrapKey", "verify"})
_MOST_RANDOM: Final = 128


class KeyOperations:
    """What the keys of a vault do."""

    def __init__(self, keys: Keys, clock: Clock) -> None:
        """Work with ``keys``."""
        self._keys = keys
        self._clock = clock

    def encrypt(self, request: Request, name: str, version: str | None = None) -> Answer:
        """Answer ``POST /keys/{name}/{version}/encrypt``."""
        kid, found, document = self._allowed(request, name, version, "encrypt")
        sealed = operations.encrypt(
            found.material,
            _algorithm(document),
            bytes_of(document, "value"),
            bytes_of(document, "iv", default=b""),
            bytes_of(document, "aad", default=b""),
        )
        parts = {"value": sealed.value, "iv": sealed.iv, "tag": sealed.tag, "aad": sealed.aad}
        shown = {name: text_of(part) for name, part in parts.items() if part is not None}
        return Answer(document={"kid": kid} | shown)

    def decrypt(self, request: Request, name: str, version: str | None = None) -> Answer:
        """Answer ``POST /keys/{name}/{version}/decrypt``."""
        kid, found, document = self._allowed(request, name, version, "decrypt")
        sealed = Sealed(
            bytes_of(document, "value"),
            bytes_of(document, "iv", default=b""),
            bytes_of(document, "tag", default=b""),
            bytes_of(document, "aad", default=b""),
        )
        return _value(kid, operations.decrypt(found.material, _algorithm(document), sealed))

    def wrap(self, request: Request, name: str, version: str | None = None) -> Answer:
        """Answer ``POST /keys/{name}/{version}/wrapkey``."""
        kid, found, document = self._allowed(request, name, version, "wrapKey")
        value = bytes_of(document, "value")
        return _value(kid, operations.wrap(found.material, _algorithm(document), value))

    def unwrap(self, request: Request, name: str, version: str | None = None) -> Answer:
        """Answer ``POST /keys/{name}/{version}/unwrapkey``."""
        kid, found, document = self._allowed(request, name, version, "unwrapKey")
        value = bytes_of(document, "value")
        return _value(kid, operations.unwrap(found.material, _algorithm(document), value))

    def sign(self, request: Request, name: str, version: str | None = None) -> Answer:
        """Answer ``POST /keys/{name}/{version}/sign``; the value is a digest."""
        kid, found, document = self._allowed(request, name, version, "sign")
        digest = bytes_of(document, "value")
        return _value(kid, operations.sign(found.material, _algorithm(document), digest))

    def verify(self, request: Request, name: str, version: str | None = None) -> Answer:
        """Answer ``POST /keys/{name}/{version}/verify``: true or false."""
        _, found, document = self._allowed(request, name, version, "verify")
        digest, signature = bytes_of(document, "digest"), bytes_of(document, "value")
        holds = operations.verify(found.material, _algorithm(document), digest, signature)
        return Answer(document={"value": holds})

    def _allowed(
        self, request: Request, name: str, version: str | None, operation: str
    ) -> tuple[str, KeyVersion, Document]:
        """Return the id and the version of a key that may do this now, and the request's body."""
        entry, found = self._keys.version(name, version)
        now = self._clock.now()
        if not found.attributes.enabled:
            raise _forbidden(operation, "on a disabled key", "KeyDisabled")
        if operation not in _WHENEVER and not found.attributes.within_validity(now):
            if found.attributes.expired(now):
                raise _forbidden(operation, "on an expired key", "KeyExpired")
            raise _forbidden(operation, "on a key that is not yet valid", "KeyNotYetValid")
        if operation not in found.operations:
            raise forbidden(
                f"Operation {operation} is not permitted on this key.", "KeyOperationForbidden"
            )
        return self._keys.url(request.base, entry, found), found, request.document()


def random_bytes(request: Request) -> Answer:
    """Answer ``POST /rng``: 1 to 128 bytes."""
    count = request.document().get("count")
    if type(count) is not int or not 1 <= count <= _MOST_RANDOM:
        raise bad_parameter(f"The parameter count must be 1 to {_MOST_RANDOM}.")
    return Answer(document={"value": text_of(os.urandom(count))})


def _algorithm(document: Document) -> str:
    algorithm = document.get("alg")
    if not isinstance(algorithm, str):
        raise bad_parameter("The required parameter alg is missing.")
    return algorithm


def _value(kid: str, value: bytes) -> Answer:
    return Answer(document={"kid": kid, "value": text_of(value)})


def _forbidden(operation: str, why: str, inner: str) -> ServiceError:
    return forbidden(f"Operation {operation} is not allowed {why}.", inner)
