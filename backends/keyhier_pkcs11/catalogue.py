"""The keys of a token as key versions: found by name or identity, and described."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pkcs11.constants import ObjectClass

from keyhier.driver import KeyVersion
from keyhier.errors import IntegrityError, InvalidStateError, NotFoundError, UnsupportedError
from keyhier.identifiers import KeyId
from keyhier_pkcs11 import rsa
from keyhier_pkcs11.keys import (
    check_public_half,
    latest_of_each,
    purpose_of,
    select,
    versions_of,
)

if TYPE_CHECKING:
    from keyhier.algorithms import WrapAlgorithm
    from keyhier_pkcs11.objects import Identity, KeyObject, TokenObjects
    from keyhier_pkcs11.profile import Way
    from keyhier_pkcs11.session import Connection

__all__ = ["Catalogue"]


class Catalogue:
    """The keys of one token, and how each is used."""

    def __init__(self, connection: Connection, objects: TokenObjects) -> None:
        self._connection = connection
        self._objects = objects
        self._ways: dict[Identity, Way | None] = {}

    def get(self, name: str, version: str | None) -> KeyVersion:
        """See :meth:`Driver.get_key`; an empty name stands for a key of any label."""
        return self.describe(self._find(name, version))

    def latest(self) -> list[KeyVersion]:
        """Return the latest version of every key; objects that are no KEKs are left out."""
        listed: list[KeyVersion] = []
        found = self._objects.find()
        # Read once for all: a search takes time in proportion to all that is on the token.
        publics = self._objects.find(classes=[ObjectClass.PUBLIC_KEY])
        for key in latest_of_each(found):
            try:
                listed.append(self.describe(key, publics))
            except (IntegrityError, InvalidStateError, UnsupportedError):
                # One object that cannot be used does not hide the others.
                continue
        return listed

    def versions(self, name: str) -> list[KeyVersion]:
        """See :meth:`Driver.list_versions`."""
        found = versions_of(self._objects.find(label=name), name)
        return [self.describe(key) for key in found]

    def _find(self, name: str, version: str | None) -> KeyObject:
        if version is None:
            return versions_of(self._objects.find(label=name), name)[-1]
        try:
            key_id = bytes.fromhex(version)
        except ValueError:
            key_id = b""
        if not key_id:
            raise NotFoundError(f"there is no key {name!r} with version {version!r}")
        found = self._objects.find(label=name or None, key_id=key_id)
        return select(found, name, version)

    def by_identity(self, identity: Identity) -> KeyObject:
        """Return the one key object with this class and CKA_ID."""
        object_class, key_id = identity
        found = self._objects.find(key_id=key_id, classes=[object_class])
        return select(found, "", key_id.hex())

    def describe(self, key: KeyObject, publics: Sequence[KeyObject] | None = None) -> KeyVersion:
        """Return what a key object is as a key version.

        Args:
            publics: the public keys of the token, where they were read before.
        """
        purpose = purpose_of(key)
        if key.label is None:
            raise UnsupportedError(f"the label of the {key} is not UTF-8")
        enabled = purpose.enabled(key)
        version = key.version
        public_key = None
        if purpose.algorithm is not None:
            algorithms: tuple[WrapAlgorithm, ...] = (purpose.algorithm,)
        else:
            public_key = rsa.public_key_of(key.modulus, key.exponent)
            if publics is None:
                publics = self._objects.find(key_id=key.id, classes=[ObjectClass.PUBLIC_KEY])
            check_public_half(key, publics)
            abilities = self._connection.abilities
            way = abilities.way_for(key.usages) if enabled else None
            self._ways[key.identity] = way
            # Once, for after the token was lost the handle may mean another key.
            trials = iter([(key.handle, public_key)] if way else [])
            if way or not enabled:
                algorithms = self._connection.recovering(
                    lambda _: abilities.rsa_algorithms(next(trials, None), way)
                )
            else:
                algorithms = ()
        return KeyVersion(
            id=KeyId("pkcs11", self._connection.token.label, key.label, key.id.hex()),
            spec=purpose.spec,
            algorithms=algorithms,
            enabled=enabled,
            public_key=public_key,
            created=version.created if version else None,
            handle=key.identity,
        )

    def way_of(self, identity: Identity) -> Way | None:
        """Return how a key that was described opens what its public half wrapped."""
        return self._ways.get(identity)
