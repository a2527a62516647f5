"""SessionKey: an AES key encryption key that was unwrapped into a vault and never leaves it."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import KeyVersion, SupportsUnwrapInto
from keyhier.identifiers import KeyId

if TYPE_CHECKING:
    from keyhier.key import Key
    from keyhier.secret import Secret, SecretBytes
    from keyhier.wrapped import WrappedKey

__all__ = ["SessionKey"]


class SessionKey:
    """A key that exists in the vault until it is closed; made by :meth:`Key.unwrap_into` only.

    A context manager that destroys the key. What it wrapped opens again once the key has been
    unwrapped into a vault again, under the same id. It has no versions and no lifecycle: these are
    the record's that it is kept in. It goes with the vault, and with the connection to an HSM that
    is lost: then its use is a :class:`~keyhier.errors.NotFoundError`.
    """

    def __init__(self, driver: SupportsUnwrapInto, key: Key, version: KeyVersion) -> None:
        self._driver = driver
        self._key = key
        self._version = version

    def __repr__(self) -> str:
        return f"<SessionKey {self.id}>"

    @property
    def id(self) -> KeyId:
        """The id of the record that the wrapped key is kept in."""
        return self._version.id

    @property
    def spec(self) -> KeySpec:
        """The size."""
        return self._version.spec

    @property
    def algorithm(self) -> WrapAlgorithm:
        """The one algorithm that it is for."""
        return self._version.algorithms[0]

    def wrap(
        self,
        secret: Secret,
        *,
        context: Mapping[str, str] | None = None,
        content_type: str | None = None,
        timeout: float | None = None,
    ) -> WrappedKey:
        """Wrap a secret into an envelope; see :meth:`Key.wrap`.

        Raises:
            UnsupportedError: the algorithm exists only raw.
            InvalidStateError: the key has been closed.
            NotFoundError: it went with a connection that was lost.
            InvalidInputError, CapacityError, IntegrityError: as :meth:`Key.wrap`.
        """
        return self._key.wrap(secret, context=context, content_type=content_type, timeout=timeout)

    def unwrap(
        self,
        wrapped: WrappedKey | str,
        *,
        context: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> SecretBytes:
        """Open an envelope that names this key; see :meth:`Key.unwrap`.

        Raises:
            InvalidInputError, UnwrapError: as :meth:`Key.unwrap`.
            InvalidStateError, NotFoundError: as :meth:`wrap`.
        """
        return self._key.unwrap(wrapped, context=context, timeout=timeout)

    def wrap_raw(self, secret: Secret, *, aad: bytes = b"", timeout: float | None = None) -> bytes:
        """Return the bare output of the KEK operation; see :meth:`Key.wrap_raw`.

        Raises:
            InvalidStateError, NotFoundError: as :meth:`wrap`.
            InvalidInputError, CapacityError, UnsupportedError, IntegrityError: as there.
        """
        return self._key.wrap_raw(secret, aad=aad, timeout=timeout)

    def unwrap_raw(
        self, wrapped: bytes, *, aad: bytes = b"", timeout: float | None = None
    ) -> SecretBytes:
        """Undo :meth:`wrap_raw`.

        Raises:
            InvalidInputError, UnwrapError: as :meth:`Key.unwrap_raw`.
            InvalidStateError, NotFoundError: as :meth:`wrap`.
        """
        return self._key.unwrap_raw(wrapped, aad=aad, timeout=timeout)

    def close(self) -> None:
        """Destroy the key in the vault; doing so twice is harmless."""
        self._driver.discard(self._version)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
