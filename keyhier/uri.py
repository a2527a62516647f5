"""Vault URIs: how a user says which vault to open.

Three forms, one grammar: ``memory:?file=…``, ``pkcs11:token=…?module-path=…`` (RFC 7512)
and ``https://contoso.vault.azure.net``. Everything unknown is refused, nothing is guessed,
and a PIN is only ever referred to (``pin-source``), never part of the URI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes

import attrs

from keyhier.errors import InvalidInputError

__all__ = ["VaultUri", "decode_text", "parse_path_attributes", "quote_bytes", "quote_text"]

MAX_URI_CHARACTERS: Final = 2048

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
# What RFC 7512, section 2.3, lets stand unescaped in an attribute's value (pk11-pchar).
_SAFE: Final = ":[]@!$'()*+,=&"


def _decode(text: str) -> bytes:
    if _BROKEN_ESCAPE.search(text):
        raise InvalidInputError("a percent sign in a URI is followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text)
    except UnicodeEncodeError:
        raise InvalidInputError("text with a lone surrogate cannot stand in a URI") from None


def decode_text(text: str) -> str:
    """Undo percent-encoding and read the bytes as UTF-8.

    Raises:
        InvalidInputError: a broken escape, or bytes that are not UTF-8.
    """
    try:
        return _decode(text).decode()
    except UnicodeDecodeError:
        raise InvalidInputError("a URI's text is not UTF-8 once its escapes are undone") from None


def quote_text(text: str) -> str:
    """Percent-encode ``text`` for the value of a path attribute (RFC 7512, section 2.3)."""
    return quote(text, safe=_SAFE)


def quote_bytes(data: bytes) -> str:
    """Percent-encode every byte, as RFC 7512, section 2.3, asks for ``id``."""
    return "".join(f"%{byte:02X}" for byte in data)


def _refuse_pin_value(text: str) -> None:
    """Refuse a PIN in a URI, however it is spelled; the message does not hold it (promise 7)."""
    if "pin-value" in unquote(text).lower():
        raise InvalidInputError(
            "pin-value is refused: a PIN does not belong in a URI",
            remedy="use pin-source=file:/path, pin-source=env:NAME, or a callback",
        )


def _pairs(text: str, separator: str, what: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(separator) if text else ():
        name, equals, value = part.partition("=")
        _refuse_pin_value(name)
        if not equals or not name:
            raise InvalidInputError(f"a {what} attribute of a URI has the form name=value")
        if name in found:
            raise InvalidInputError(f"the {what} attribute {name!r} stands in the URI twice")
        found[name] = value
    return found


def parse_path_attributes(path: str) -> dict[str, bytes]:
    """Read the path of a ``pkcs11:`` URI (RFC 7512, section 2.3) into names and raw values.

    Raises:
        InvalidInputError: an attribute that is malformed or stands there twice.
    """
    return {name: _decode(value) for name, value in _pairs(path, ";", "path").items()}


@attrs.frozen
class VaultUri:
    """A vault's URI, taken apart. Printing it shows no secret, for it can hold none.

    Attributes:
        text: the URI as it was given.
        scheme: in lower case; it chooses the backend.
        path: what stands between the scheme's colon and the question mark, undecoded.
        query: the attributes behind the question mark, decoded.
    """

    text: str
    scheme: str = attrs.field(repr=False)
    path: str = attrs.field(repr=False)
    query: Mapping[str, str] = attrs.field(repr=False, hash=False)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> VaultUri:
        """Take ``text`` apart.

        Raises:
            InvalidInputError: it is no URI, is too long, has a fragment, repeats an
                attribute, or tries to carry a PIN or a password.
        """
        if not isinstance(text, str) or len(text) > MAX_URI_CHARACTERS:
            raise InvalidInputError(
                f"a vault's URI is text of at most {MAX_URI_CHARACTERS} characters"
            )
        scheme, colon, rest = text.partition(":")
        if not colon or not _SCHEME.fullmatch(scheme):
            raise InvalidInputError(
                "a vault is named by a URI",
                remedy="for example memory:, pkcs11:token=…?module-path=…, https://….vault.azure.net",
            )
        if any(character.isspace() or not character.isprintable() for character in rest):
            raise InvalidInputError("a vault's URI holds no spaces or control characters")
        path, _, query = rest.partition("?")
        # The path is the backend's to read, but this value prints it.
        _refuse_pin_value(path)
        attributes = _pairs(query, "&", "query")
        if "#" in rest:
            raise InvalidInputError("a vault's URI has no fragment")
        if path.startswith("//") and "@" in path:
            raise InvalidInputError("a vault's URI names no user and no password")
        decoded = {name: decode_text(value) for name, value in attributes.items()}
        return cls(text, scheme.lower(), path, MappingProxyType(decoded))

    def only(self, *known: str) -> None:
        """Refuse query attributes other than ``known`` (promise 9).

        Raises:
            InvalidInputError: naming the first unknown attribute and the known ones.
        """
        for name in self.query:
            if name not in known:
                listed = ", ".join(known) or "none"
                raise InvalidInputError(
                    f"unknown attribute {name!r} in a {self.scheme}: URI; known are {listed}"
                )
