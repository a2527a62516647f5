"""What becomes of a key after it was made: disabled and enabled by its usages, and destroyed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from pkcs11.constants import Attribute
from pkcs11.exceptions import PKCS11Error

from keyhier.errors import UnsupportedError
from keyhier_pkcs11.errors import clearly_lost, translated, unknown
from keyhier_pkcs11.keys import Purpose, purpose_of

if TYPE_CHECKING:
    from keyhier.driver import KeyVersion
    from keyhier_pkcs11.catalogue import Catalogue
    from keyhier_pkcs11.objects import Identity, KeyObject, TokenObjects
    from keyhier_pkcs11.session import Connection

__all__ = ["Lifecycle"]


class Lifecycle:
    """Changes and destroys the keys of one token."""

    def __init__(self, connection: Connection, objects: TokenObjects, catalogue: Catalogue) -> None:
        self._connection = connection
        self._objects = objects
        self._catalogue = catalogue

    def set_enabled(self, key: KeyVersion, *, enabled: bool) -> KeyVersion:
        """Set or clear the usages of a version, and read them back."""
        identity = cast("Identity", key.handle)
        with self._connection.objects_lock:
            before = self._catalogue.by_identity(identity)
            purpose = purpose_of(before)
            usages = _usages_to_change(before, purpose, enabled=enabled)
            self._change(identity, usages, enabled=enabled)
            after = self._catalogue.by_identity(identity)
        if purpose.enabled(after) != enabled or (not enabled and after.usages & set(usages)):
            raise UnsupportedError("the token does not hold to the usages that it was told to set")
        return self._catalogue.describe(after)

    def delete(self, key: KeyVersion) -> None:
        """Destroy all versions of a key that keyhier made, or the one object of another."""
        with self._connection.objects_lock:
            one = self._catalogue.by_identity(cast("Identity", key.handle))
            doomed = [one]
            if one.version is not None:
                doomed = [
                    each
                    for each in self._objects.find(label=key.id.name, classes=[one.object_class])
                    if each.version is not None
                ]
            for each in doomed:
                try:
                    self._objects.destroy(each.identity)
                except PKCS11Error as error:
                    raise translated(error, "C_DestroyObject", "destroying the key") from error

    def _change(self, identity: Identity, usages: Sequence[Attribute], *, enabled: bool) -> None:
        try:
            self._objects.set_usages(identity, usages, value=enabled)
        except PKCS11Error as error:
            change = translated(error, "C_SetAttributeValue", "changing the key's usages")
            if clearly_lost(error) or unknown(error):
                raise change from error
            raise UnsupportedError(
                "the token does not let the usages of a key be changed", native=change.native
            ) from error


def _usages_to_change(key: KeyObject, purpose: Purpose, *, enabled: bool) -> tuple[Attribute, ...]:
    if enabled:
        return purpose.usages
    if key.version is None:
        # WRAP and ENCRYPT stay on a key of others: nothing else says what it is for.
        return tuple(sorted(key.usages & {Attribute.DECRYPT, Attribute.UNWRAP}))
    return tuple(sorted(key.usages))
