"""Fresh key material from the operating system or a vault, checked before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyhier.errors import IntegrityError
from keyhier.secret import SecretBytes

if TYPE_CHECKING:
    from keyhier.secret import RandomSource

__all__ = ["draw"]


def draw(length: int, source: RandomSource | None) -> SecretBytes:
    """Return ``length`` random bytes from ``source``, or from the operating system without one.

    Raises:
        IntegrityError: the source gave another number of bytes, or nothing but zeros.
    """
    drawn = SecretBytes.random(length) if source is None else source.random_bytes(length)
    complaint = None
    if len(drawn) != length:
        complaint = f"gave {len(drawn)} bytes where {length} were asked for"
    elif drawn == bytes(length):
        complaint = f"gave {length} zero bytes"
    if complaint is not None:
        drawn.wipe()
        raise IntegrityError(
            f"the random source {complaint}",
            remedy="do not use this generator; leave random= out to use the operating system's",
        )
    return drawn
