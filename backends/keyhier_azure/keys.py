"""Keys as the service writes them (JWK bundles), and as keyhier knows them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    RSAPublicNumbers,
)
from cryptography.hazmat.primitives.serialization import load_der_private_key

from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm
from keyhier.base64url import decode, encode
from keyhier.driver import KeyVersion
from keyhier.errors import IntegrityError, InvalidInputError, UnsupportedError
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes
from keyhier_azure.budget import cost_of_key

if TYPE_CHECKING:
    from keyhier.stored_secret import SecretId

__all__ = [
    "AES_ALGORITHMS",
    "FRESH_SECONDS",
    "RSA_ALGORITHMS",
    "UNREADABLE",
    "KeyHandle",
    "creation_body",
    "describe",
    "import_body",
    "is_asked",
    "moment",
]

FRESH_SECONDS: Final = 300.0
"""How long a version's description is relied on for local wraps."""

RSA_ALGORITHMS: Final = (
    WrapAlgorithm.RSA_OAEP_256,
    WrapAlgorithm.RSA_OAEP,
    WrapAlgorithm.RSA_AES_KWP,
    WrapAlgorithm.RSA1_5,
)
AES_ALGORITHMS: Final = {
    KeySpec.AES_128: WrapAlgorithm.A128KW,
    KeySpec.AES_192: WrapAlgorithm.A192KW,
    KeySpec.AES_256: WrapAlgorithm.A256KW,
}

# Promise 5: nothing but these, so that no key that unwraps also decrypts.
_OPERATIONS: Final = ("wrapKey", "unwrapKey")
_UNWRAP: Final = "unwrapKey"
_OCT: Final = "oct-HSM"

# The service shows neither the size nor the purpose of an AES key, so its tag has to.
SPEC_TAG: Final = "keyhier-spec"


@attrs.frozen
class KeyHandle:
    """How a key version is used.

    Attributes:
        path: of the version, below the vault's URL.
        cost: what a use costs, as a part of the vault's limit.
    """

    path: str
    cost: float


def describe(
    bundle: Mapping[str, Any], vault: str, name: str | None = None, version: str | None = None
) -> KeyVersion:
    """Return what a bundle says of a key version.

    Args:
        bundle: ``{"key": {…}, "attributes": {…}, "tags": {…}}``.
        vault: the vault's host, which the id must name.
        name, version: of what was asked for, where that is known.

    Raises:
        UnsupportedError: the key is of a kind that does not wrap.
        IntegrityError: the answer is of another vault or key, or no key's.
    """
    try:
        key_id = KeyId.parse(bundle["key"]["kid"])
        described = _described(key_id, bundle)
    except (*UNREADABLE, InvalidInputError) as error:
        raise IntegrityError("what the vault says of a key cannot be read") from error
    if not is_asked(key_id, vault, name, version):
        raise IntegrityError(f"the vault says {key_id} of a key that it was asked for")
    return described


UNREADABLE: Final = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    OSError,
    TypeError,
    ValueError,
)
"""What reading an answer raises that is not of the form that it should be."""


def is_asked(
    object_id: KeyId | SecretId, vault: str, name: str | None, version: str | None
) -> bool:
    """Whether an answer's id is of the vault and of the name and version that were asked for."""
    return (
        object_id.vault == vault
        and bool(object_id.version)
        and object_id.name.lower() == (name or object_id.name).lower()
        and object_id.version == (version or object_id.version)
    )


def _described(key_id: KeyId, bundle: Mapping[str, Any]) -> KeyVersion:
    key, attributes = bundle["key"], bundle["attributes"]
    kind: str = key["kty"]
    public_key = _public_key(key) if kind.startswith("RSA") else None
    spec = _spec(key_id, kind, public_key, bundle.get("tags") or {})
    algorithms = RSA_ALGORITHMS if public_key is not None else (AES_ALGORITHMS[spec],)
    return KeyVersion(
        key_id,
        spec,
        algorithms if _UNWRAP in (key.get("key_ops") or ()) else (),
        enabled=attributes.get("enabled", True),
        public_key=public_key,
        created=moment(attributes.get("created")),
        not_before=moment(attributes.get("nbf")),
        expires=moment(attributes.get("exp")),
        fresh_until=time.monotonic() + FRESH_SECONDS,
        handle=KeyHandle(
            f"/keys/{key_id.name}/{key_id.version}", cost_of_key(spec, hsm=kind.endswith("-HSM"))
        ),
    )


def moment(seconds: int | None) -> datetime | None:
    """Return a time that the service gives in seconds since 1970."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _public_key(key: Mapping[str, Any]) -> RSAPublicKey:
    modulus, exponent = (int.from_bytes(decode(key[part])) for part in ("n", "e"))
    return RSAPublicNumbers(exponent, modulus).public_key()


def _spec(
    key_id: KeyId, kind: str, public_key: RSAPublicKey | None, tags: Mapping[str, str]
) -> KeySpec:
    if kind == _OCT:
        # Nearly every AES key has 256 bits. On another the service refuses A256KW, and says so.
        told = tags.get(SPEC_TAG)
        return next((spec for spec in AES_ALGORITHMS if spec == told), KeySpec.AES_256)
    name = kind if public_key is None else f"RSA-{public_key.key_size}"
    try:
        return KeySpec(name)
    except ValueError:
        raise UnsupportedError(
            f"{key_id} is a key of kind {name:.20}, which keyhier does not wrap keys with"
        ) from None


def creation_body(spec: KeySpec, *, hsm: bool) -> dict[str, Any]:
    """Return what asks the service for a new key."""
    kind = spec.key_type.value if spec.key_type is KeyType.RSA else "oct"
    body: dict[str, Any] = {
        "kty": f"{kind}-HSM" if hsm else kind,
        "key_size": spec.bits,
        "key_ops": _OPERATIONS,
    }
    return body | _tags(spec)


def import_body(spec: KeySpec, material: SecretBytes, *, hsm: bool) -> dict[str, Any]:
    """Return what asks the service to take a key over."""
    if spec.key_type is KeyType.AES:
        key: dict[str, Any] = {"kty": _OCT, "k": encode(material.reveal())}
    else:
        key = {"kty": "RSA-HSM" if hsm else "RSA"} | _private_members(material)
    return {"key": key | {"key_ops": _OPERATIONS}, "Hsm": hsm} | _tags(spec)


def _tags(spec: KeySpec) -> dict[str, Any]:
    return {"tags": {SPEC_TAG: spec.value}} if spec.key_type is KeyType.AES else {}


def _private_members(material: SecretBytes) -> dict[str, str]:
    """Return an RSA private key's members of RFC 7518, section 6.3."""
    key = load_der_private_key(material.view(), None)
    if not isinstance(key, RSAPrivateKey):
        raise InvalidInputError("the material is no RSA private key")
    private = key.private_numbers()
    public = private.public_numbers
    members = {
        "n": public.n,
        "e": public.e,
        "d": private.d,
        "p": private.p,
        "q": private.q,
        "dp": private.dmp1,
        "dq": private.dmq1,
        "qi": private.iqmp,
    }
    return {
        name: encode(number.to_bytes((number.bit_length() + 7) // 8))
        for name, number in members.items()
    }
