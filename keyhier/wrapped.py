"""WrappedKey: the envelope, a JWE in compact form (RFC 7516, section 3.1).

The KEK wraps a fresh 256-bit content key (``alg``), AES-256-GCM seals the secret (``enc``), and
the protected header says which key version opens it, what the secret is, and what it is bound to:

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

import binascii
import json
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyhier.algorithms import (
    CONTENT_ENCRYPTION,
    CONTENT_KEY_BYTES,
    ENVELOPE_ALGORITHMS,
    GCM_IV_BYTES,
    GCM_TAG_BYTES,
    KeySpec,
    KeyType,
    WrapAlgorithm,
)
from keyhier.errors import CapacityError, InvalidInputError, UnwrapError
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes

__all__ = ["MAX_SECRET_BYTES", "Header", "WrappedKey", "check_context"]

MAX_SECRET_BYTES: Final = 48 * 1024
"""How much one envelope seals."""

MAX_HEADER_CHARACTERS: Final = 1023
"""Other JOSE libraries refuse an encoded header of 1,024 bytes and more."""

MAX_CONTEXT_ENTRIES: Final = 16

_RSA_KEY_BYTES: Final = frozenset(spec.size for spec in KeySpec if spec.key_type is KeyType.RSA)
_MAX_TEXT: Final = (
    MAX_HEADER_CHARACTERS + 4 + sum(-(-4 * size // 3) for size in (512, 12, MAX_SECRET_BYTES, 16))
)
_MEMBERS: Final = frozenset(("alg", "enc", "kid", "cty", "kth", "ctx", "iv", "tag", "typ"))
_CONTENT_TYPE: Final = re.compile(r"[!-~]{1,127}")

# Base64url (RFC 4648, section 5), by hand because the standard library's takes three times as long
# and a wrap needs six of them.
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_+/", b"+/\0\0")

_NO_CONTEXT: Final[Mapping[str, str]] = MappingProxyType({})
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _encode(data: bytes) -> str:
    return _encode_ascii(data).decode("ascii")


def _encode_ascii(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL)


def _decode(segment: str, what: str) -> bytes:
    try:
        text = segment.encode("ascii")
        data = binascii.a2b_base64(text.translate(_FROM_URL) + b"=" * (-len(text) % 4))
    except ValueError:
        text, data = b"-", b""
    # Decoding skips foreign characters and ignores left-over bits; only one spelling is accepted.
    if _encode_ascii(data) != text:
        raise InvalidInputError(f"the {what} of the wrapped key is not unpadded base64url")
    return data


def check_context(context: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the context to bind or to expect; none and an empty one are the same.

    Raises:
        InvalidInputError: it is not strings to strings, has more than 16 entries, or holds
            text that UTF-8 cannot carry (a lone surrogate).
    """
    if context is None:
        return _NO_CONTEXT
    if not isinstance(context, (dict, Mapping)):
        raise InvalidInputError("a context maps strings to strings")
    return _checked_context(dict(context))


def _checked_context(context: dict[Any, Any]) -> Mapping[str, str]:
    if len(context) > MAX_CONTEXT_ENTRIES:
        raise InvalidInputError(f"a context has at most {MAX_CONTEXT_ENTRIES} entries")
    try:
        "".join((*context, *context.values())).encode()
    except TypeError:
        raise InvalidInputError("a context maps strings to strings") from None
    except UnicodeEncodeError:
        raise InvalidInputError("a context with a lone surrogate cannot be UTF-8") from None
    return MappingProxyType(context)


@lru_cache(maxsize=1024)
def _fixed_members(algorithm: WrapAlgorithm, kid: KeyId, thumbprint: str | None) -> str:
    """Return the start of the header's JSON, which is the same in all that a key version wraps."""
    if KeyId.parse(str(kid)) != kid or not kid.version:
        raise InvalidInputError(f"{kid} cannot stand in an envelope, which could not be read back")
    members = {"alg": str(algorithm), "enc": CONTENT_ENCRYPTION, "kid": str(kid)}
    if thumbprint:
        members["kth"] = thumbprint
    return _to_json(members).removesuffix("}")


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

    def encode(self) -> str:
        """Return the header as the first segment of the JWE.

        Raises:
            CapacityError: it is longer than other libraries accept; shorten the context.
            InvalidInputError: the content type or the id could not be read back.
        """
        parts = [_fixed_members(self.algorithm, self.kid, self.thumbprint)]
        if self.content_type:
            _check_content_type(self.content_type)
            parts.append(f'"cty":{_to_json(self.content_type)}')
        if self.context:
            parts.append(f'"ctx":{_to_json(dict(self.context))}')
        if self.key_iv:
            parts.append(f'"iv":"{_encode(self.key_iv)}","tag":"{_encode(self.key_tag)}"')
        encoded = _encode((",".join(parts) + "}").encode())
        if len(encoded) > MAX_HEADER_CHARACTERS:
            raise CapacityError(
                f"the envelope's header would have {len(encoded)} characters of at most "
                f"{MAX_HEADER_CHARACTERS}",
                remedy="shorten the context",
            )
        return encoded

    @classmethod
    def decode(cls, segment: str) -> Header:
        """Read and check the first segment of a JWE.

        Raises:
            InvalidInputError: it is no header that keyhier accepts.
        """
        if len(segment) > MAX_HEADER_CHARACTERS:
            raise InvalidInputError("the header of the wrapped key is too long")
        members = _members(_decode(segment, "header"))
        if not _MEMBERS.issuperset(members):
            foreign = ", ".join(repr(name)[:40] for name in sorted(members.keys() - _MEMBERS))
            raise InvalidInputError(f"members of the header that are not accepted: {foreign:.200}")
        algorithm = _algorithm(members)
        kid = KeyId.parse(_text(members, "kid"))
        if not kid.version:
            raise InvalidInputError("the header's kid names no exact version")
        content_type = _text(members, "cty", "")
        if "cty" in members:
            _check_content_type(content_type)
        _text(members, "typ", "")
        thumbprint = _thumbprint(members, algorithm)
        context = members.get("ctx", {})
        if not isinstance(context, dict):
            raise InvalidInputError("the header's ctx is not an object")
        key_iv, key_tag = _key_wrap_parameters(members, algorithm)
        return cls(
            algorithm, kid, content_type, thumbprint, _checked_context(context), key_iv, key_tag
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidInputError("a member stands twice in the header of the wrapped key")
    return members


_read_json: Final = json.JSONDecoder(object_pairs_hook=_unique).decode


def _members(data: bytes) -> dict[str, Any]:
    try:
        text = data.decode()
        members = _read_json(text)
        if "\\u" in text:
            # Only an escape can bring in a lone surrogate, which UTF-8 cannot write.
            _to_json(members).encode()
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
    if name not in ENVELOPE_ALGORITHMS:
        raise InvalidInputError(
            f"the header's alg {name!r:.40} is not accepted; accepted are "
            + ", ".join(sorted(ENVELOPE_ALGORITHMS))
        )
    if _text(members, "enc") != CONTENT_ENCRYPTION:
        raise InvalidInputError(f"the header's enc is not {CONTENT_ENCRYPTION}")
    return WrapAlgorithm(name)


def _check_content_type(content_type: str) -> None:
    if not isinstance(content_type, str) or not _CONTENT_TYPE.fullmatch(content_type):
        raise InvalidInputError("a content type has 1 to 127 printable characters of ASCII")


def _thumbprint(members: dict[str, Any], algorithm: WrapAlgorithm) -> str | None:
    if "kth" not in members:
        return None
    thumbprint = _text(members, "kth")
    if algorithm.key_type is not KeyType.RSA or len(_decode(thumbprint, "kth")) != 32:
        raise InvalidInputError("the header's kth is not the SHA-256 thumbprint of an RSA key")
    return thumbprint


def _key_wrap_parameters(members: dict[str, Any], algorithm: WrapAlgorithm) -> tuple[bytes, bytes]:
    if algorithm is not WrapAlgorithm.A256GCMKW:
        if "iv" in members or "tag" in members:
            raise InvalidInputError(f"the header members iv and tag do not go with {algorithm}")
        return b"", b""
    iv, tag = (_decode(_text(members, name), name) for name in ("iv", "tag"))
    if len(iv) != GCM_IV_BYTES or len(tag) != GCM_TAG_BYTES:
        raise InvalidInputError("the header's iv has 12 bytes and its tag 16")
    return iv, tag


def _check_encrypted_key(algorithm: WrapAlgorithm, length: int) -> None:
    match algorithm:
        case WrapAlgorithm.RSA_OAEP | WrapAlgorithm.RSA_OAEP_256:
            fits = length in _RSA_KEY_BYTES
        case WrapAlgorithm.A256GCMKW:
            fits = length == CONTENT_KEY_BYTES
        case _:
            fits = length == CONTENT_KEY_BYTES + 8
    if not fits:
        raise InvalidInputError(
            f"the encrypted key has {length} bytes, which {algorithm} never makes"
        )


@attrs.frozen
class WrappedKey:
    """An envelope, immutable and public: it can be printed, stored and sent anywhere.

    ``str(wrapped)`` is the compact JWE, one line; :meth:`parse` reads it back.

    Attributes:
        header: the checked members of the protected header.
        protected: the header's segment as received; it is the additional data of the seal.
        encrypted_key: the content key under the KEK.
        iv: 12 bytes.
        ciphertext: the sealed secret.
        tag: 16 bytes.
    """

    header: Header
    protected: str = attrs.field(repr=False)
    encrypted_key: bytes = attrs.field(repr=False)
    iv: bytes = attrs.field(repr=False)
    ciphertext: bytes = attrs.field(repr=False)
    tag: bytes = attrs.field(repr=False)

    @property
    def kid(self) -> KeyId:
        """The id of the key version that opens it."""
        return self.header.kid

    @property
    def algorithm(self) -> WrapAlgorithm:
        """How the KEK wrapped the content key."""
        return self.header.algorithm

    @property
    def content_type(self) -> str:
        """What the secret is, such as ``vnd.keyhier.bitlocker``; empty where nothing was said."""
        return self.header.content_type

    @property
    def context(self) -> Mapping[str, str]:
        """What the secret is bound to; readable by everybody."""
        return self.header.context

    @property
    def thumbprint(self) -> str | None:
        """The RSA KEK's thumbprint (RFC 7638), or None."""
        return self.header.thumbprint

    def __str__(self) -> str:
        return ".".join(
            (
                self.protected,
                _encode(self.encrypted_key),
                _encode(self.iv),
                _encode(self.ciphertext),
                _encode(self.tag),
            )
        )

    @classmethod
    def parse(cls, text: str) -> WrappedKey:
        """Read a compact JWE.

        Only one spelling of each envelope is accepted; white space around it is not.

        Raises:
            InvalidInputError: it is malformed by its public bytes alone; nothing was opened.
        """
        if not isinstance(text, str) or len(text) > _MAX_TEXT:
            raise InvalidInputError(f"a wrapped key is text of at most {_MAX_TEXT} characters")
        segments = text.split(".")
        if len(segments) != 5:
            raise InvalidInputError(
                "a wrapped key is a compact JWE: five segments, four full stops"
            )
        header = Header.decode(segments[0])
        encrypted_key = _decode(segments[1], "encrypted key")
        iv = _decode(segments[2], "IV")
        ciphertext = _decode(segments[3], "ciphertext")
        tag = _decode(segments[4], "tag")
        _check_encrypted_key(header.algorithm, len(encrypted_key))
        if len(iv) != GCM_IV_BYTES or len(tag) != GCM_TAG_BYTES:
            raise InvalidInputError("the IV of a wrapped key has 12 bytes and its tag 16")
        if not 0 < len(ciphertext) <= MAX_SECRET_BYTES:
            raise InvalidInputError(
                f"the ciphertext of a wrapped key has 1 to {MAX_SECRET_BYTES} bytes"
            )
        return cls(header, segments[0], encrypted_key, iv, ciphertext, tag)

    @classmethod
    def seal(
        cls, header: Header, encrypted_key: bytes, content_key: SecretBytes, secret: SecretBytes
    ) -> WrappedKey:
        """Seal ``secret`` with AES-256-GCM under ``content_key`` (RFC 7516, section 5.1).

        Raises:
            InvalidInputError: the secret is empty.
            CapacityError: the secret has more than 48 KiB, or the header is too long.
        """
        length = len(secret)
        if not length:
            raise InvalidInputError("there is nothing to wrap: the secret is empty")
        if length > MAX_SECRET_BYTES:
            raise CapacityError(f"a wrapped key holds at most {MAX_SECRET_BYTES} bytes")
        protected = header.encode()
        iv = os.urandom(GCM_IV_BYTES)
        sealed = AESGCM(content_key.view()).encrypt(iv, secret.view(), protected.encode("ascii"))
        return cls(
            header, protected, encrypted_key, iv, sealed[:-GCM_TAG_BYTES], sealed[-GCM_TAG_BYTES:]
        )

    def open(self, content_key: SecretBytes) -> SecretBytes:
        """Open the seal (RFC 7516, section 5.2) and return the secret, which the caller wipes.

        Raises:
            UnwrapError: the tag does not verify.
        """
        secret = SecretBytes.allocate(len(self.ciphertext))
        try:
            AESGCM(content_key.view()).decrypt_into(
                self.iv, self.ciphertext + self.tag, self.protected.encode("ascii"), secret.view()
            )
        except InvalidTag:
            secret.wipe()
        if secret.wiped:
            # Raised out here so that not even the context of the exception tells anything.
            raise UnwrapError
        return secret
