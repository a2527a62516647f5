"""Key specs and wrap algorithms: what fits what, and how many bytes fit.

Names are JOSE's (RFC 7518, section 4) where JOSE has one. ``A256KWP`` is AES key
wrap with padding (RFC 5649) and ``RSA-AES-KWP`` is PKCS#11's
``CKM_RSA_AES_KEY_WRAP`` (PKCS#11 v3.1, section 6.1.23), for which JOSE has none.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Self

from keyhier.errors import CapacityError, InvalidInputError

__all__ = [
    "CONTENT_ENCRYPTION",
    "CONTENT_KEY_BYTES",
    "ENVELOPE_ALGORITHMS",
    "GCM_ALGORITHMS",
    "GCM_IV_BYTES",
    "GCM_TAG_BYTES",
    "GCM_WRAP_LIMIT",
    "KEY_WRAP_ALGORITHMS",
    "KeySpec",
    "KeyType",
    "WrapAlgorithm",
    "algorithms_for",
    "capacity",
    "check_aad",
    "check_capacity",
    "check_wrapped_length",
    "split_gcm",
]

CONTENT_ENCRYPTION: Final = "A256GCM"
CONTENT_KEY_BYTES: Final = 32
GCM_IV_BYTES: Final = 12
GCM_TAG_BYTES: Final = 16

GCM_WRAP_LIMIT: Final = 2**32
"""How often one key version may seal with a random 96-bit IV (NIST SP 800-38D, section 8.3)."""


class KeyType(StrEnum):
    """The family a key belongs to."""

    RSA = "RSA"
    AES = "AES"


class _Named(StrEnum):
    # Enum's own hash is a Python function, and these names are looked up at every operation.
    __hash__ = str.__hash__

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the member called ``text``; names are case-sensitive.

        Raises:
            InvalidInputError: there is no such name; the message lists those there are.
        """
        try:
            return cls(text)
        except ValueError:
            what = "key spec" if issubclass(cls, KeySpec) else "wrap algorithm"
            known = ", ".join(cls)
            raise InvalidInputError(f"unknown {what} {text!r:.40}; known are {known}") from None


class KeySpec(_Named):
    """What a key is: its family and its size in bits.

    Attributes:
        key_type: the family, RSA or AES.
        size: the size of the key (AES) or of its modulus (RSA), in bytes.
    """

    key_type: KeyType
    size: int

    def __init__(self, name: str) -> None:
        family, _, length = name.partition("-")
        self.key_type = KeyType(family)
        self.size = int(length) // 8

    RSA_2048 = "RSA-2048"
    RSA_3072 = "RSA-3072"
    RSA_4096 = "RSA-4096"
    AES_128 = "AES-128"
    AES_192 = "AES-192"
    AES_256 = "AES-256"

    @property
    def bits(self) -> int:
        """The same size, in bits."""
        return self.size * 8


class WrapAlgorithm(_Named):
    """How a key encryption key wraps.

    Attributes:
        key_type: the family of keys that the algorithm works with.
    """

    key_type: KeyType

    def __init__(self, name: str) -> None:
        self.key_type = KeyType.RSA if name.startswith("RSA") else KeyType.AES

    RSA_OAEP_256 = "RSA-OAEP-256"
    RSA_OAEP = "RSA-OAEP"
    RSA1_5 = "RSA1_5"
    RSA_AES_KWP = "RSA-AES-KWP"
    A128KW = "A128KW"
    A192KW = "A192KW"
    A256KW = "A256KW"
    A256GCMKW = "A256GCMKW"
    A256GCM = "A256GCM"
    A256KWP = "A256KWP"


ENVELOPE_ALGORITHMS: Final = frozenset(
    {
        WrapAlgorithm.RSA_OAEP,
        WrapAlgorithm.RSA_OAEP_256,
        WrapAlgorithm.A128KW,
        WrapAlgorithm.A192KW,
        WrapAlgorithm.A256KW,
        WrapAlgorithm.A256GCMKW,
    }
)
"""What may stand in the ``alg`` of a wrapped key; the others exist only raw."""

KEY_WRAP_ALGORITHMS: Final = frozenset(
    {WrapAlgorithm.A128KW, WrapAlgorithm.A192KW, WrapAlgorithm.A256KW}
)
"""AES key wrap (RFC 3394)."""

GCM_ALGORITHMS: Final = frozenset({WrapAlgorithm.A256GCM, WrapAlgorithm.A256GCMKW})
"""AES-GCM, whose raw output is IV, ciphertext and tag."""

_RSA = (
    WrapAlgorithm.RSA_OAEP_256,
    WrapAlgorithm.RSA_OAEP,
    WrapAlgorithm.RSA_AES_KWP,
    WrapAlgorithm.RSA1_5,
)
_FITTING: Final[dict[KeySpec, tuple[WrapAlgorithm, ...]]] = {
    KeySpec.RSA_2048: _RSA,
    KeySpec.RSA_3072: _RSA,
    KeySpec.RSA_4096: _RSA,
    KeySpec.AES_128: (WrapAlgorithm.A128KW,),
    KeySpec.AES_192: (WrapAlgorithm.A192KW,),
    KeySpec.AES_256: (
        WrapAlgorithm.A256KW,
        WrapAlgorithm.A256GCMKW,
        WrapAlgorithm.A256GCM,
        WrapAlgorithm.A256KWP,
    ),
}

# The overhead of each RSA padding in bytes: OAEP takes two hashes and two bytes (RFC 8017,
# section 7.1.1), PKCS #1 v1.5 takes eleven (section 7.2.1).
_RSA_OVERHEAD: Final = {
    WrapAlgorithm.RSA_OAEP: 2 * 20 + 2,
    WrapAlgorithm.RSA_OAEP_256: 2 * 32 + 2,
    WrapAlgorithm.RSA1_5: 11,
}

MAX_RAW_BYTES: Final = 64 * 1024
"""What a raw wrap takes where the algorithm itself sets no lower bound."""


def algorithms_for(spec: KeySpec) -> tuple[WrapAlgorithm, ...]:
    """Return what fits a key of this spec; the first is the safe default.

    An AES key version is for one of them only, fixed when it is made.
    """
    return _FITTING[spec]


def capacity(algorithm: WrapAlgorithm, spec: KeySpec) -> int:
    """Return how many bytes one raw wrap takes at most."""
    if algorithm in _RSA_OVERHEAD:
        return spec.size - _RSA_OVERHEAD[algorithm]
    return MAX_RAW_BYTES


def check_capacity(algorithm: WrapAlgorithm, spec: KeySpec, length: int) -> None:
    """Raise unless a raw wrap of ``length`` bytes is possible.

    Raises:
        InvalidInputError: nothing to wrap, or a length that AES key wrap does not take
            (RFC 3394, section 2: at least 16 bytes, in multiples of 8).
        CapacityError: more than the key and algorithm can take.
    """
    if length == 0:
        raise InvalidInputError("there is nothing to wrap: the secret is empty")
    limit = capacity(algorithm, spec)
    if length > limit:
        raise CapacityError(
            f"{length} bytes do not fit: {algorithm} under {spec} takes at most {limit}",
            remedy="use a larger key, or an envelope (`wrap`), which takes up to 48 KiB",
        )
    if algorithm in KEY_WRAP_ALGORITHMS and (length < 16 or length % 8):
        raise InvalidInputError(
            f"{algorithm} wraps at least 16 bytes in multiples of 8, not {length}",
            remedy="use A256KWP, or an envelope (`wrap`)",
        )


def check_wrapped_length(algorithm: WrapAlgorithm, spec: KeySpec, length: int) -> None:
    """Raise unless a raw wrap under a key of this spec can have ``length`` bytes.

    Raises:
        InvalidInputError: it cannot, whatever the bytes are.
    """
    match algorithm:
        case WrapAlgorithm.RSA_AES_KWP:
            fits = length >= spec.size + 16 and (length - spec.size) % 8 == 0
        case _ if algorithm in GCM_ALGORITHMS:
            fits = length > GCM_IV_BYTES + GCM_TAG_BYTES
        case WrapAlgorithm.A256KWP:
            fits = length >= 16 and length % 8 == 0
        case _ if algorithm in KEY_WRAP_ALGORITHMS:
            fits = length >= 24 and length % 8 == 0
        case _:
            fits = length == spec.size
    if not fits or length > MAX_RAW_BYTES + 2 * spec.size:
        raise InvalidInputError(f"{length} bytes are no output of {algorithm} under {spec}")


def check_aad(algorithm: WrapAlgorithm, aad: bytes) -> None:
    """Raise unless ``algorithm`` takes additional data, or there is none.

    Raises:
        InvalidInputError: it takes none.
    """
    if aad and algorithm is not WrapAlgorithm.A256GCM:
        raise InvalidInputError(f"{algorithm} takes no additional data; only A256GCM does")


def split_gcm(sealed: bytes) -> tuple[bytes, bytes, bytes]:
    """Take the output of ``A256GCM`` or ``A256GCMKW`` apart: IV, ciphertext and tag."""
    return sealed[:GCM_IV_BYTES], sealed[GCM_IV_BYTES:-GCM_TAG_BYTES], sealed[-GCM_TAG_BYTES:]
