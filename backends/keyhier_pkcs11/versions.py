"""How the versions of a key are told apart: by their CKA_ID.

All versions of a key carry its name as CKA_LABEL. The CKA_ID of a version is a UUIDv8 (RFC 9562,
section 5.8), which ``pkcs11-tool -O`` shows in hexadecimal::

    0193a5c2e1f7 8 0a3 9 0c4d2f61e8b7a35
    │            │ │   │ └ 60 of the 62 random bits
    │            │ │   └ the variant (binary 10) and two random bits: 8, 9, a or b
    │            │ └ what the version is for: the table below
    │            └ the UUID's version, always 8
    └ when it was made, in milliseconds since 1970

A version that was made for a tag has 62 bits of the tag's SHA-256 in place of the random ones.

So versions sort by their age, and an AES version's one algorithm is fixed for every process.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from keyhier.algorithms import WrapAlgorithm

__all__ = ["VersionId"]

# 0x001 is RSA, whose algorithm is chosen at each use; the others fix an AES key's algorithm.
_RSA: Final = 0x001
_CODES: Final[dict[WrapAlgorithm | None, int]] = {
    None: _RSA,
    WrapAlgorithm.A128KW: 0x0A1,
    WrapAlgorithm.A192KW: 0x0A2,
    WrapAlgorithm.A256KW: 0x0A3,
    WrapAlgorithm.A256GCMKW: 0x0A4,
    WrapAlgorithm.A256GCM: 0x0A5,
    WrapAlgorithm.A256KWP: 0x0A6,
}
_MEANINGS: Final = {code: algorithm for algorithm, code in _CODES.items()}

_RANDOM_BITS: Final = 62
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_END_OF_TIME: Final = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


@attrs.frozen
class VersionId:
    """What the CKA_ID of a version says.

    Attributes:
        value: the CKA_ID, 16 bytes.
        milliseconds: when the version was made, since 1970 in UTC.
        algorithm: what an AES version is for, None for RSA.
    """

    value: bytes
    milliseconds: int
    algorithm: WrapAlgorithm | None

    @classmethod
    def new(
        cls,
        algorithm: WrapAlgorithm | None,
        after: VersionId | None = None,
        tag: str | None = None,
    ) -> VersionId:
        """Make the id of a new version, later than ``after`` whatever the clock says.

        Its random bits are those of ``tag`` where there is one, by which it is found again.
        """
        milliseconds = time.time_ns() // 1_000_000
        if after is not None:
            milliseconds = max(milliseconds, after.milliseconds + 1)
        number = milliseconds << 80 | 0x8 << 76 | _CODES[algorithm] << 64
        number |= 0b10 << 62 | (secrets.randbits(_RANDOM_BITS) if tag is None else _bits_of(tag))
        return cls(number.to_bytes(16), milliseconds, algorithm)

    @classmethod
    def read(cls, value: bytes) -> VersionId | None:
        """Read a CKA_ID; None is one that keyhier did not make."""
        number = int.from_bytes(value)
        code = number >> 64 & 0xFFF
        form = (number >> 76 & 0xF, number >> 62 & 0b11)
        milliseconds = number >> 80
        if len(value) != 16 or form != (0x8, 0b10) or code not in _MEANINGS:
            return None
        # A time that Python's calendar does not reach is no time of ours.
        if milliseconds >= _END_OF_TIME:
            return None
        return cls(value, milliseconds, _MEANINGS[code])

    @property
    def created(self) -> datetime:
        """When the version was made, in UTC."""
        return _EPOCH + timedelta(milliseconds=self.milliseconds)

    def is_for(self, tag: str) -> bool:
        """Whether the version was made for ``tag``."""
        return int.from_bytes(self.value) % (1 << _RANDOM_BITS) == _bits_of(tag)


def _bits_of(tag: str) -> int:
    return int.from_bytes(hashlib.sha256(tag.encode()).digest()[:8]) >> 64 - _RANDOM_BITS
