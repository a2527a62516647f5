"""The protected header of a wrapped key: what it says, written and read.

========  ==========================================================================
``alg``   how the KEK wraps: one of :data:`~keyhier.algorithms.ENVELOPE_ALGORITHMS`
``enc``   ``A256GCM``, nothing else
``kid``   the id of the KEK with its exact version
``cty``   what the secret is (RFC 7516, section 4.1.12)
``kth``   for RSA, the KEK's thumbprint (RFC 7638), so that a moved key can be proved
``ctx``   the context: strings to strings, at most 16; left out where it is empty
``iv``    and ``tag``: the key wrap's own, for ``A256GCMKW`` (RFC 7518, section 4.7.1)
``typ``   accepted from others, never written, of no effect
========  ==========================================================================

The header as received is the GCM's additional data, so nothing in it can be altered. The set of
members is closed: what is not in the table is refused, ``crit``, ``zip`` and ``jku`` included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from json.encoder import encode_basestring as quote
from types import MappingProxyType
from typing import Any, Final

import attrs

from keyhier import base64url
from keyhier.algorithms import (
    CONTENT_ENCRYPTION,
    ENVELOPE_ALGORITHMS,
    GCM_IV_BYTES,
    GCM_TAG_BYTES,
    KeyType,
    WrapAlgorithm,
)
from keyhier.errors import CapacityError, InvalidInputError
from keyhier.identifiers import KeyId

__all__ = [
    "CONTEXT_RECORD",
    "MAX_HEADER_CHARACTERS",
    "Header",
    "finish_header",
    "start_header",
]

MAX_HEADER_CHARACTERS: Final = 1023
"""Other JOSE libraries refuse an encoded header of 1,024 bytes and more."""

MAX_CONTEXT_ENTRIES: Final = 16

CONTEXT_RECORD: Final = "record"
"""The entry of a context that holds the id of the record which an envelope is kept in.

An envelope that was moved to another record does not open there. The set is never part of a
context: disks join and leave sets, and that is no reason to wrap again.
"""

_MEMBERS: Final = frozenset(("alg", "enc", "kid", "cty", "kth", "ctx", "iv", "tag", "typ"))
_CONTENT_TYPE: Final = re.compile(r"[!-~]{1,127}")
# 32 bytes in unpadded base64url; the last character carries four bits of them and two of zero.
_THUMBPRINT: Final = re.compile(r"[0-9A-Za-z_-]{42}[AEIMQUYcgkosw048]")
_CONTENT_TYPE_RULE: Final = "a content type has 1 to 127 printable characters of ASCII"
_ALGORITHMS: Final = {str(algorithm): algorithm for algorithm in ENVELOPE_ALGORITHMS}
_NO_CONTEXT: Final[Mapping[str, str]] = MappingProxyType({})


def _context_as_json(context: Mapping[str, str]) -> str:
    """Return the context as a JSON object, or nothing where it is empty."""
    if not isinstance(context, (dict, Mapping)) or len(context) > MAX_CONTEXT_ENTRIES:
        raise InvalidInputError(
            f"a context maps strings to strings and has at most {MAX_CONTEXT_ENTRIES} entries"
        )
    try:
        pairs = [f"{quote(name)}:{quote(value)}" for name, value in context.items()]
        text = ",".join(pairs)
        text.encode()
    except (TypeError, UnicodeEncodeError):
        raise InvalidInputError(
            "a context maps strings to strings that UTF-8 can carry, so without lone surrogates"
        ) from None
    return f"{{{text}}}" if text else ""


def start_header(algorithm: WrapAlgorithm, kid: KeyId, thumbprint: str | None) -> str:
    """Return the start of the header's JSON, the same in all that a key version wraps.

    Raises:
        InvalidInputError: the id could not be read back from an envelope.
    """
    if not kid.version or KeyId.parse(str(kid)) != kid:
        raise InvalidInputError(f"{kid} cannot stand in an envelope, which could not be read back")
    proof = f',"kth":{quote(thumbprint)}' if thumbprint else ""
    return f'{{"alg":"{algorithm}","enc":"{CONTENT_ENCRYPTION}","kid":{quote(str(kid))}{proof}'


def finish_header(
    start: str,
    content_type: str,
    context: Mapping[str, str] | None,
    key_iv: bytes = b"",
    key_tag: bytes = b"",
) -> str:
    """Return the whole header as the first segment of the JWE.

    Raises:
        CapacityError: it is longer than other libraries accept.
        InvalidInputError: the content type could not be read back, or the context is not strings
            to strings, has more than 16 entries, or holds what UTF-8 cannot carry.
    """
    if not isinstance(content_type, str):
        raise InvalidInputError(_CONTENT_TYPE_RULE)
    kind = _content_type_as_json(content_type)
    bound = "" if context is None else _context_as_json(context)
    if bound:
        bound = f',"ctx":{bound}'
    wrapped = ""
    if key_iv:
        iv, tag = base64url.encode(key_iv), base64url.encode(key_tag)
        wrapped = f',"iv":"{iv}","tag":"{tag}"'
    encoded = base64url.encode(f'{start},"cty":{kind}{bound}{wrapped}}}'.encode())
    if len(encoded) > MAX_HEADER_CHARACTERS:
        raise CapacityError(
            f"the envelope's header would have {len(encoded)} characters of at most "
            f"{MAX_HEADER_CHARACTERS}",
            remedy="shorten the context",
        )
    return encoded


@attrs.frozen
class Header:
    """The members of the protected header, checked.

    Attributes:
        algorithm: ``alg``.
        kid: the KEK's id, with a version.
        content_type: ``cty``, or an empty string where there is none.
        thumbprint: ``kth``, RSA only, or None.
        context: ``ctx``, read-only.
        key_iv: ``iv`` of ``A256GCMKW``, else empty.
        key_tag: ``tag`` of ``A256GCMKW``, else empty.
    """

    algorithm: WrapAlgorithm
    kid: KeyId
    content_type: str = ""
    thumbprint: str | None = None
    context: Mapping[str, str] = _NO_CONTEXT
    key_iv: bytes = b""
    key_tag: bytes = b""

    def is_bound_to(self, context: Mapping[str, str] | None) -> bool:
        """Say whether the context is exactly this one; none and an empty one are the same.

        Raises:
            InvalidInputError: it is none that anything could be bound to.
        """
        if self.context == ({} if context is None else context):
            return True
        if context is not None:
            _context_as_json(context)
        return False

    @classmethod
    def decode(cls, segment: str) -> Header:
        """Read and check the first segment of a JWE.

        Raises:
            InvalidInputError: it is no header that keyhier accepts.
        """
        if len(segment) > MAX_HEADER_CHARACTERS:
            raise InvalidInputError("the header of the wrapped key is too long")
        members = _members(base64url.decode(segment))
        if not _MEMBERS.issuperset(members):
            foreign = ", ".join(repr(name)[:40] for name in sorted(members.keys() - _MEMBERS))
            raise InvalidInputError(f"members of the header that are not accepted: {foreign:.200}")
        algorithm = _algorithm(members)
        kid = KeyId.parse(_text(members, "kid"))
        if not kid.version:
            raise InvalidInputError("the header's kid names no exact version")
        content_type = _text(members, "cty", "")
        if "cty" in members:
            _content_type_as_json(content_type)
        _text(members, "typ", "")
        thumbprint = _thumbprint(members, algorithm)
        context = _context(members)
        key_iv, key_tag = _key_wrap_parameters(members, algorithm)
        return cls(algorithm, kid, content_type, thumbprint, context, key_iv, key_tag)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidInputError("a member stands twice in the header of the wrapped key")
    return members


_read_json: Final = json.JSONDecoder(object_pairs_hook=_unique).raw_decode
_WHITE_SPACE: Final = " \t\n\r"  # RFC 8259, section 2.


def _members(data: bytes) -> dict[str, Any]:
    try:
        text = data.decode().strip(_WHITE_SPACE)
        members, end = _read_json(text)
        if end != len(text):
            members = None
        elif "\\u" in text:
            # Only an escape can bring in a lone surrogate, which UTF-8 cannot write.
            json.dumps(members, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise InvalidInputError("the header of the wrapped key is not a JSON object")
    return members


def _text(members: dict[str, Any], name: str, default: str | None = None) -> str:
    value = members.get(name, default)
    if not isinstance(value, str):
        raise InvalidInputError(f"the header's {name} is missing or not a string")
    return value


def _algorithm(members: dict[str, Any]) -> WrapAlgorithm:
    name = _text(members, "alg")
    algorithm = _ALGORITHMS.get(name)
    if algorithm is None:
        raise InvalidInputError(
            f"the header's alg {name!r:.40} is not accepted; accepted are "
            + ", ".join(sorted(_ALGORITHMS))
        )
    if _text(members, "enc") != CONTENT_ENCRYPTION:
        raise InvalidInputError(f"the header's enc is not {CONTENT_ENCRYPTION}")
    return algorithm


def _context(members: dict[str, Any]) -> Mapping[str, str]:
    context = members.get("ctx", {})
    if not isinstance(context, dict) or len(context) > MAX_CONTEXT_ENTRIES:
        raise InvalidInputError(f"the header's ctx is no object of at most {MAX_CONTEXT_ENTRIES}")
    for value in context.values():
        if not isinstance(value, str):
            raise InvalidInputError("the header's ctx does not map strings to strings")
    return MappingProxyType(context)


@lru_cache(maxsize=64)  # Few content types stand in many envelopes.
def _content_type_as_json(content_type: str) -> str:
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise InvalidInputError(_CONTENT_TYPE_RULE)
    return quote(content_type)


def _thumbprint(members: dict[str, Any], algorithm: WrapAlgorithm) -> str | None:
    if "kth" not in members:
        return None
    thumbprint = _text(members, "kth")
    if algorithm.key_type is not KeyType.RSA or not _is_thumbprint(thumbprint):
        raise InvalidInputError("the header's kth is not the SHA-256 thumbprint of an RSA key")
    return thumbprint


@lru_cache(maxsize=64)  # Few keys stand in many envelopes.
def _is_thumbprint(text: str) -> bool:
    return _THUMBPRINT.fullmatch(text) is not None


def _key_wrap_parameters(members: dict[str, Any], algorithm: WrapAlgorithm) -> tuple[bytes, bytes]:
    if algorithm is not WrapAlgorithm.A256GCMKW:
        if "iv" in members or "tag" in members:
            raise InvalidInputError(f"the header members iv and tag do not go with {algorithm}")
        return b"", b""
    iv, tag = (base64url.decode(_text(members, name)) for name in ("iv", "tag"))
    if len(iv) != GCM_IV_BYTES or len(tag) != GCM_TAG_BYTES:
        raise InvalidInputError("the header's iv has 12 bytes and its tag 16")
    return iv, tag
