"""KeyId: the name of one key version, wherever it lives.

====================================================  =====================================
``https://contoso.vault.azure.net/keys/kek/<32 hex>``  Azure Key Vault and Managed HSM
``pkcs11:token=disks;object=kek;id=%01%93…``           a PKCS#11 token (RFC 7512)
``memory:kek/<version>``                               the memory backend
``record:<hierarchy>/<name>/<version>``                a KEK that is itself kept in a record
====================================================  =====================================

A KeyId names and never opens: it has no query attributes, so no module, file, PIN or host is
ever used because an envelope names it (promise 4).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import attrs

from keyhier.errors import InvalidInputError
from keyhier.uri import parse_path_attributes, quote_bytes, quote_text

__all__ = [
    "MAX_ID_CHARACTERS",
    "KeyId",
    "check_key_name",
    "read_https_object",
    "read_memory_object",
]

MAX_ID_CHARACTERS: Final = 512

_NAME: Final = re.compile(r"[0-9A-Za-z-]{1,127}")
_VERSION: Final = re.compile(r"[0-9A-Za-z]{1,64}")
_AZURE_VERSION: Final = re.compile(r"[0-9a-f]{32}")
_HOST: Final = re.compile(
    r"(?P<host>[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
)
_HTTPS_PORT: Final = 443
# Each cloud's data-plane domains: https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates
_AZURE_SUFFIXES: Final = (
    ".vault.azure.net",
    ".managedhsm.azure.net",
    ".vault.azure.cn",
    ".managedhsm.azure.cn",
    ".vault.usgovcloudapi.net",
    ".managedhsm.usgovcloudapi.net",
)
_AZURE_VAULT: Final = re.compile(r"(?!.*--)[a-z][0-9a-z-]{1,22}[0-9a-z]")


def check_key_name(name: str) -> str:
    """Return ``name`` if every vault accepts it: 1 to 127 letters, digits and hyphens of ASCII.

    Raises:
        InvalidInputError: it has another character or length.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"{name!r:.140} is no key name: 1 to 127 letters, digits and hyphens of ASCII"
        )
    return name


@attrs.frozen(order=True, cache_hash=True)
class KeyId:
    """The identity of a key, with its exact version or (``version == ""``) without one.

    Two spellings of one identity are equal: hosts and names of Key Vault are compared without
    case, percent-encoding is undone.

    Attributes:
        scheme: ``https``, ``pkcs11``, ``memory`` or ``record``.
        vault: the host with its port, the token's label, the hierarchy's name, or nothing (memory).
        name: the key's name; for PKCS#11 the CKA_LABEL, which may be empty.
        version: the vault's version; for PKCS#11 the CKA_ID in lower-case hexadecimal.
    """

    scheme: str
    vault: str
    name: str
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> KeyId:
        """Read a key's id.

        Raises:
            InvalidInputError: it is of none of the four forms, or holds query attributes.
        """
        if not isinstance(text, str) or len(text) > MAX_ID_CHARACTERS:
            raise InvalidInputError(f"a key's id is text of at most {MAX_ID_CHARACTERS} characters")
        return _read(text)

    def __str__(self) -> str:
        match self.scheme:
            case "https":
                base = f"https://{self.vault}/keys/{self.name}"
            case "memory":
                base = f"memory:{self.name}"
            case "record":
                base = f"record:{self.vault}/{self.name}"
            case "pkcs11":
                parts = [f"token={quote_text(self.vault)}"]
                if self.name:
                    parts.append(f"object={quote_text(self.name)}")
                if self.version:
                    parts.append(f"id={quote_bytes(bytes.fromhex(self.version))}")
                return "pkcs11:" + ";".join(parts)
            case _:
                raise InvalidInputError(f"no key's id has the scheme {self.scheme!r:.40}")
        return f"{base}/{self.version}" if self.version else base

    @property
    def versionless(self) -> KeyId:
        """The same key, without a version."""
        return attrs.evolve(self, version="")


def _checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise InvalidInputError(f"{text!r:.140} is no {what} in an id")
    return text


@lru_cache(maxsize=1024)  # One key version's id stands in every envelope that it opens.
def _read(text: str) -> KeyId:
    scheme, _, rest = text.partition(":")
    if "?" in rest or "#" in rest:
        raise InvalidInputError("a key's id has no query attributes and no fragment")
    # Lower case of some letters outside ASCII is a letter of ASCII.
    reader = _READERS.get(scheme.lower()) if scheme.isascii() else None
    if reader is None:
        raise InvalidInputError(
            f"a key's id starts with one of {', '.join(f'{known}:' for known in _READERS)}"
        )
    key_id = reader(rest)
    if len(str(key_id)) > MAX_ID_CHARACTERS:
        raise InvalidInputError(
            f"a key's id has at most {MAX_ID_CHARACTERS} characters once it is percent-encoded"
        )
    return key_id


def read_https_object(rest: str, collection: str) -> tuple[str, str, str]:
    """Read ``//HOST/COLLECTION/NAME[/VERSION]`` and return host, name and version.

    Host and version come in lower case, the name as it was written.

    Raises:
        InvalidInputError: it is no id of Key Vault.
    """
    host, *segments = rest.removeprefix("//").split("/")
    matched = _HOST.fullmatch(host.lower())
    if (
        not (rest.startswith("//") and rest.isascii() and matched)
        or len(segments) not in (2, 3)
        or segments[0].lower() != collection
    ):
        raise InvalidInputError(
            f"an id in Key Vault has the form https://HOST/{collection}/NAME/VERSION"
        )
    name, port = matched["host"], matched["port"]
    for suffix in _AZURE_SUFFIXES:
        if name.endswith(suffix):
            _checked(_AZURE_VAULT, name.removesuffix(suffix), "vault name")
    number = int(port or _HTTPS_PORT)
    if not 0 < number < 65536:
        raise InvalidInputError("a port is a number from 1 to 65535")
    vault = name if number == _HTTPS_PORT else f"{name}:{number}"
    version = _checked(_AZURE_VERSION, segments[2].lower(), "version") if segments[2:] else ""
    return vault, _checked(_NAME, segments[1], "name"), version


def _read_https(rest: str) -> KeyId:
    vault, name, version = read_https_object(rest, "keys")
    return KeyId("https", vault, name.lower(), version)


def read_memory_object(rest: str) -> tuple[str, str]:
    """Read ``NAME[/VERSION]`` and return both.

    Raises:
        InvalidInputError: it is no id of something in memory.
    """
    name, slash, version = rest.partition("/")
    if slash:
        _checked(_VERSION, version, "version")
    return _checked(_NAME, name, "name"), version


def _read_memory(rest: str) -> KeyId:
    return KeyId("memory", "", *read_memory_object(rest))


def _read_record(rest: str) -> KeyId:
    hierarchy, _, key = rest.partition("/")
    name, slash, version = key.partition("/")
    if slash:
        _checked(_VERSION, version, "version")
    return KeyId(
        "record",
        _checked(_NAME, hierarchy, "hierarchy"),
        _checked(_NAME, name, "key name"),
        version,
    )


def _read_pkcs11(rest: str) -> KeyId:
    attributes = parse_path_attributes(rest)
    for name in attributes:
        if name not in ("token", "object", "id"):
            raise InvalidInputError(
                f"unknown attribute {name!r:.60} in a key's id; known are token, object, id"
            )
    texts = {name: attributes[name] for name in ("token", "object") if name in attributes}
    try:
        token, label = (texts.get(name, b"").decode() for name in ("token", "object"))
    except UnicodeDecodeError:
        raise InvalidInputError("a token's or object's label is UTF-8") from None
    version = attributes.get("id", b"").hex()
    if not token or not (label or version):
        raise InvalidInputError("a PKCS#11 key's id has a token and an object, an id or both")
    return KeyId("pkcs11", token, label, version)


_READERS: Final = {
    "https": _read_https,
    "pkcs11": _read_pkcs11,
    "memory": _read_memory,
    "record": _read_record,
}
