"""SecretBytes: plaintext key material that does not spread by accident and is wiped when done."""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, Final, NoReturn, Protocol, Self, runtime_checkable

from keyhier.errors import InvalidInputError, InvalidStateError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["PLAIN_BYTES", "RandomSource", "Secret", "SecretBytes", "Wrappable", "lent"]


PLAIN_BYTES: Final = (bytes, bytearray)
_BYTES_LIKE: Final = (*PLAIN_BYTES, memoryview)


class RandomSource(Protocol):
    """Where fresh key material comes from: the operating system or a vault's generator."""

    def random_bytes(self, length: int) -> SecretBytes:
        """Return ``length`` random bytes."""
        ...


@runtime_checkable
class Wrappable(Protocol):
    """A secret with a form of its own, such as a volume key, that a KEK can wrap."""

    @property
    def content_type(self) -> str:
        """What the secret is: the ``cty`` of the envelope (RFC 7516, section 4.1.12)."""
        ...

    def to_secret(self) -> SecretBytes:
        """Return the bytes to wrap, in a buffer that the caller wipes."""
        ...


class SecretBytes:
    """A mutable buffer of secret bytes.

    Use it as a context manager: on exit the buffer is overwritten with zeros, and
    any later use raises :class:`~keyhier.errors.InvalidStateError`. It has no
    revealing repr, cannot be pickled, copied or converted with ``bytes()``, is not
    hashable, and compares in constant time. ``view()`` lends the bytes without a
    copy; ``reveal()`` is the one way to an immutable copy, which nobody can wipe.

    What Python cannot promise about memory stands in ``docs/limitations.md``.
    """

    __slots__ = ("__weakref__", "_buffer")

    def __init__(self, source: bytes | bytearray | memoryview) -> None:
        """Copy ``source``; the caller remains responsible for the original.

        Raises:
            InvalidInputError: ``source`` is not a bytes-like object.
        """
        if not isinstance(source, _BYTES_LIKE):
            raise InvalidInputError(f"a secret is made of bytes, not of {type(source).__name__}")
        self._buffer: bytearray | None = bytearray(source)

    @classmethod
    def allocate(cls, length: int) -> Self:
        """Return ``length`` zero bytes, to be filled through :meth:`view`."""
        return cls.adopt(bytearray(length))

    @classmethod
    def adopt(cls, buffer: bytearray) -> Self:
        """Take ``buffer`` over without a copy; the caller must not keep it."""
        secret = cls.__new__(cls)
        secret._buffer = buffer  # noqa: SLF001  # It is this class's own.
        return secret

    @classmethod
    def random(cls, length: int) -> Self:
        """Return ``length`` bytes from the operating system's generator (``os.urandom``)."""
        return cls.adopt(bytearray(os.urandom(length)))

    def _require(self) -> bytearray:
        if self._buffer is None:
            raise InvalidStateError("the secret has been wiped")
        return self._buffer

    def view(self) -> memoryview:
        """Lend the bytes without copying them; do not keep the view beyond the secret's life.

        Raises:
            InvalidStateError: the secret has been wiped.
        """
        return memoryview(self._require())

    def reveal(self) -> bytes:
        """Return an immutable copy, for an interface that takes nothing else; it cannot be wiped.

        Raises:
            InvalidStateError: the secret has been wiped.
        """
        return bytes(self._require())

    def wipe(self) -> None:
        """Overwrite the bytes with zeros and forget them; doing so twice is harmless."""
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            # A slice of equal length may be assigned while views exist, and clears what they see.
            buffer[:] = bytes(len(buffer))

    @property
    def wiped(self) -> bool:
        """Whether the secret has been wiped."""
        return self._buffer is None

    def __len__(self) -> int:
        return len(self._require())

    def __bool__(self) -> bool:
        return len(self) > 0

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SecretBytes):
            return hmac.compare_digest(self._require(), other._require())
        if isinstance(other, _BYTES_LIKE):
            return hmac.compare_digest(self._require(), other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # A hash would reveal equality outside constant time.

    def __enter__(self) -> Self:
        self._require()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.wipe()

    def __del__(self) -> None:
        # An object whose construction failed has no buffer yet.
        if getattr(self, "_buffer", None) is not None:
            self.wipe()

    def __repr__(self) -> str:
        return "<SecretBytes: wiped>" if self.wiped else "<SecretBytes>"

    def __bytes__(self) -> NoReturn:
        raise TypeError("a SecretBytes is not copied by accident: use view() or reveal()")

    def __iter__(self) -> NoReturn:
        raise TypeError("a SecretBytes is not iterated: use view()")

    def __copy__(self) -> NoReturn:
        raise TypeError("a SecretBytes cannot be copied")

    def __deepcopy__(self, memo: dict[int, object]) -> NoReturn:
        raise TypeError("a SecretBytes cannot be copied")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a SecretBytes cannot be pickled")


Secret = SecretBytes | bytes | bytearray | Wrappable
"""What can be wrapped. Of these only a SecretBytes and a bytearray can be wiped by their owner."""


def lent(secret: Secret) -> SecretBytes:
    """Return a copy of the secret, which is wiped where it is lent.

    Raises:
        InvalidInputError: it is none.
    """
    if isinstance(secret, PLAIN_BYTES):
        return SecretBytes(secret)
    if isinstance(secret, Wrappable):
        return secret.to_secret()
    raise InvalidInputError(f"a secret is bytes or a volume key, not {type(secret).__name__}")
