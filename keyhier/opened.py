"""OpenedVault: what a Vault and its Keys share while the vault is open."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

from keyhier.algorithms import WrapAlgorithm
from keyhier.audit import AuditedOperation, AuditHook, record_in
from keyhier.driver import Driver, KeyVersion, SupportsManyAtOnce, SupportsTimeout
from keyhier.errors import InvalidInputError, InvalidStateError, UnsupportedError
from keyhier.identifiers import KeyId
from keyhier.stored_secret import SecretId

__all__ = ["OpenedVault", "is_of"]

Capability = TypeVar("Capability")
KeyObject = TypeVar("KeyObject")

# One for all, since it keeps nothing.
_UNAUDITED: Final = AuditedOperation(None, "", "")


def is_of(object_id: KeyId | SecretId, driver: Driver) -> bool:
    """Whether a key or secret of that id would be one of the driver's vault."""
    return (object_id.scheme, object_id.vault) == (driver.scheme, driver.vault)


class OpenedVault(Generic[KeyObject]):
    """The driver, whether it is open, who is told, and the one object for each key version."""

    def __init__(self, driver: Driver, audit: AuditHook | None) -> None:
        self._driver = driver
        self._audit = audit
        self.audited = audit is not None
        self._closed = False
        self._keys: dict[KeyId, KeyObject] = {}

    @property
    def driver(self) -> Driver:
        """The driver.

        Raises:
            InvalidStateError: the vault was closed.
        """
        self.require_open()
        return self._driver

    def require_open(self) -> None:
        """Raise if the vault was closed.

        Raises:
            InvalidStateError: it was.
        """
        if self._closed:
            raise InvalidStateError("the vault is closed")

    def close(self) -> None:
        """Close the driver; doing so twice is harmless."""
        self._closed = True
        self._driver.close()

    def within(self, timeout: float | None) -> Driver:
        """Return the driver, with so many seconds for each operation where a time is given.

        Raises:
            InvalidInputError: the time is no positive number.
            UnsupportedError: the vault knows no timeouts.
            InvalidStateError: the vault was closed.
        """
        self.require_open()
        driver = self._driver
        if timeout is None:
            return driver
        if isinstance(timeout, bool) or not 0 < timeout < math.inf:
            raise InvalidInputError(f"a timeout is a number of seconds above 0, not {timeout!r}")
        if not isinstance(driver, SupportsTimeout):
            raise UnsupportedError(f"this {driver.scheme}: vault knows no timeouts")
        return driver.within(timeout)

    @property
    def at_once(self) -> int | None:
        """How many operations in flight use the vault well, or None where it does not say.

        Raises:
            InvalidStateError: the vault was closed.
        """
        driver = self.driver
        return driver.at_once if isinstance(driver, SupportsManyAtOnce) else None

    def capable(
        self,
        protocol: type[Capability],
        what: str,
        timeout: float | None = None,
        *,
        remedy: str | None = None,
    ) -> Capability:
        """Return the driver as one that can do ``what``, within a time as :meth:`within` has it.

        Raises:
            UnsupportedError: it cannot.
            InvalidInputError, InvalidStateError: as :meth:`within`.
        """
        driver = self.within(timeout)
        if not isinstance(driver, protocol):
            raise UnsupportedError(f"this {driver.scheme}: vault cannot {what}", remedy=remedy)
        return driver

    def operation(
        self,
        name: str,
        key: object,
        algorithm: WrapAlgorithm | None = None,
        context: Mapping[str, str] | None = None,
    ) -> AuditedOperation:
        """Return the context manager in which an operation is done and reported."""
        if self._audit is None:
            return _UNAUDITED
        return AuditedOperation(self._audit, name, key, algorithm, record_in(context))

    def known(self, key_id: KeyId) -> KeyObject | None:
        """Return the object of a version that was seen before, or None."""
        return self._keys.get(key_id)

    def adopt(
        self,
        version: KeyVersion,
        make: Callable[[KeyVersion], KeyObject],
        update: Callable[[KeyObject, KeyVersion], None],
    ) -> KeyObject:
        """Return the one object for a version that the driver described, brought up to date.

        One object, so that everybody who holds it sees that the version was disabled or deleted.
        """
        # Without a lock, which a thread might hold while another forks; setdefault is atomic.
        key = self._keys.get(version.id)
        if key is None:
            made = make(version)
            key = self._keys.setdefault(version.id, made)
            if key is made:
                return key
        update(key, version)
        return key

    def seen(self, name: str) -> list[KeyObject]:
        """Return the objects of every version of a key that was seen before."""
        return [key for key_id, key in list(self._keys.items()) if key_id.name == name]
