"""VolumeKey: what every kind of volume key has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import attrs

from keyhier.secret import SecretBytes

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["VolumeKey", "copied"]


@attrs.frozen(eq=False, repr=False)
class VolumeKey:
    """Secret bytes that a volume is unlocked with; a KEK can wrap it (``Wrappable``).

    Use it as a context manager: on exit it is wiped, and a later use of what is secret raises
    :class:`~keyhier.errors.InvalidStateError`. Two of one kind are equal if their bytes are,
    compared in constant time.
    """

    content_type: ClassVar[str]
    """What stands in an envelope as ``cty``."""

    _content: SecretBytes

    def to_bytes(self) -> SecretBytes:
        """Return the key in the form that the volume reads, in a buffer that the caller wipes."""
        return SecretBytes(self._content.view())

    def to_secret(self) -> SecretBytes:
        """Return what a KEK wraps, in a buffer that the caller wipes: the same as `to_bytes`."""
        return self.to_bytes()

    def wipe(self) -> None:
        """Overwrite the secret with zeros; doing so twice is harmless."""
        self._content.wipe()

    def __enter__(self) -> Self:
        # Entering one that was wiped is refused here, where the mistake is.
        self._content.view()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.wipe()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, VolumeKey) and type(other) is type(self):
            return self._content == other._content
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # A hash would reveal equality outside constant time.


def copied(source: SecretBytes | bytes | bytearray) -> SecretBytes:
    """Return a copy of ``source``, which stays its owner's to wipe.

    Raises:
        InvalidInputError: it is not made of bytes.
        InvalidStateError: it has been wiped.
    """
    return SecretBytes(source.view() if isinstance(source, SecretBytes) else source)
