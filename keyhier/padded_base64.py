"""Standard base64 with padding (RFC 4648, section 4) of what is secret, from buffer to buffer.

``binascii`` answers with ``bytes``, which nobody can wipe. Here the result comes to be in its final
buffer, of its final size: one that grows would leave copies as well.
"""

from __future__ import annotations

from typing import Final

from keyhier.errors import InvalidInputError
from keyhier.secret import SecretBytes

__all__ = ["decode", "encode"]

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_PADDING: Final = ord("=")


def encode(source: memoryview) -> SecretBytes:
    """Write ``source``; the caller wipes the text."""
    encoded = bytearray(b"=" * (-(-len(source) // 3) * 4))
    for group in range(0, len(source), 3):
        octets = source[group : group + 3]
        bits = int.from_bytes(octets, "big") << 8 * (3 - len(octets))
        for position in range(len(octets) + 1):
            encoded[group // 3 * 4 + position] = _ALPHABET[bits >> 6 * (3 - position) & 63]
    return SecretBytes.adopt(encoded)


def decode(text: memoryview) -> SecretBytes:
    """Read what :func:`encode` wrote, and no other spelling of the same bytes.

    Raises:
        InvalidInputError: it is spelt otherwise; the message quotes nothing of it.
    """
    padding = 0
    while padding < min(2, len(text)) and text[-1 - padding] == _PADDING:
        padding += 1
    body = text[: len(text) - padding]
    if len(text) % 4 or any(character not in _VALUES for character in body):
        raise InvalidInputError("this is no standard base64 with padding")
    decoded = bytearray(len(text) // 4 * 3 - padding)
    for group in range(0, len(body), 4):
        characters = body[group : group + 4]
        bits = 0
        for character in characters:
            bits = bits << 6 | _VALUES[character]
        missing = 4 - len(characters)
        if bits & ((1 << 2 * missing) - 1):
            decoded[:] = bytes(len(decoded))
            raise InvalidInputError("this is no standard base64: bits after its end are set")
        start = group // 4 * 3
        octets = (bits >> 2 * missing).to_bytes(3 - missing)
        decoded[start : start + len(octets)] = octets
    return SecretBytes.adopt(decoded)
