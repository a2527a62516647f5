"""Keys of every type that the service has, made, imported and shown as JSON web keys (RFC 7517)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Final, TypeVar, cast

import attrs
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from keyhier.testing.keyvault.messages import Document, bytes_of, text_of
from keyhier.testing.keyvault.service_error import bad_parameter

__all__ = ["CURVES", "Material"]

# "P-256K" is what the service calls secp256k1.
CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "P-256K": ec.SECP256K1(),
}
_CURVE_NAMES: Final = {curve.name: name for name, curve in CURVES.items()}
_RSA_SIZES: Final = (2048, 3072, 4096)
_AES_SIZES: Final = (128, 192, 256)
_HSM: Final = "-HSM"
_F4: Final = 65537

T = TypeVar("T", int, str)

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | bytes


@attrs.frozen
class Material:
    """A private or secret key.

    Attributes:
        kty: RSA, RSA-HSM, EC, EC-HSM or oct-HSM.
        key: what it is; the bytes of an oct-HSM key.
    """

    kty: str
    key: _Key = attrs.field(repr=False)

    @property
    def family(self) -> str:
        """RSA, EC or oct."""
        return self.kty.removesuffix(_HSM)

    @property
    def in_hsm(self) -> bool:
        """Whether the key is one of an HSM."""
        return self.kty.endswith(_HSM)

    @property
    def bits(self) -> int:
        """The key's size."""
        return len(self.key) * 8 if isinstance(self.key, bytes) else self.key.key_size

    @property
    def curve(self) -> str:
        """The name of an EC key's curve."""
        return _CURVE_NAMES[cast(ec.EllipticCurvePrivateKey, self.key).curve.name]

    @classmethod
    def generate(cls, kty: str, size: object = None, curve: object = None) -> Material:
        """Make a key.

        Raises:
            ServiceError: the service has no such key.
        """
        family = kty.removesuffix(_HSM)
        if family == "RSA":
            bits = _one_of(_RSA_SIZES, size, 2048, "key_size")
            return cls(kty, rsa.generate_private_key(_F4, bits))
        if family == "EC":
            name = _one_of(tuple(CURVES), curve, "P-256", "crv")
            return cls(kty, ec.generate_private_key(CURVES[name]))
        return cls(kty, secrets.token_bytes(_one_of(_AES_SIZES, size, 256, "key_size") // 8))

    def successor(self) -> Material:
        """Make a key of the same type and size, for the next version."""
        if self.family == "EC":
            return Material.generate(self.kty, curve=self.curve)
        return Material.generate(self.kty, self.bits)

    @classmethod
    def imported(cls, jwk: Document) -> Material:
        """Read a JSON web key with its private part.

        Raises:
            ServiceError: it is no such key.
        """
        kty = jwk.get("kty")
        family = kty.removesuffix(_HSM) if isinstance(kty, str) else ""
        if not isinstance(kty, str) or family not in _READERS:
            raise bad_parameter(f"The key type {kty} cannot be imported.")
        try:
            return cls(kty, _READERS[family](jwk))
        except ValueError:
            wrong = bad_parameter("The parameter key is not a valid key.")
        raise wrong

    def public_members(self) -> Document:
        """Return what a JSON web key shows of it; of an oct-HSM key that is nothing."""
        if isinstance(self.key, bytes):
            return {}
        if isinstance(self.key, rsa.RSAPrivateKey):
            public = self.key.public_key().public_numbers()
            return {"n": _number(public.n), "e": _number(public.e)}
        point = self.key.public_key().public_numbers()
        length = (self.bits + 7) // 8
        return {
            "crv": self.curve,
            "x": _number(point.x, length),
            "y": _number(point.y, length),
        }

    def to_bytes(self) -> bytes:
        """Return the key alone: PKCS#8 (DER), or an oct-HSM key's bytes."""
        if isinstance(self.key, bytes):
            return self.key
        return self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    @classmethod
    def from_bytes(cls, kty: str, data: bytes) -> Material:
        """Return what :meth:`to_bytes` wrote, from a backup that nobody has changed."""
        if kty.removesuffix(_HSM) == "oct":
            return cls(kty, data)
        return cls(kty, cast(_Key, load_der_private_key(data, None)))


def _one_of(allowed: tuple[T, ...], given: object, default: T | None, name: str) -> T:
    if given is None:
        given = default
    for each in allowed:
        if each == given:
            return each
    raise bad_parameter(f"The parameter {name} has the unsupported value {given}.")


def _number(value: int, length: int | None = None) -> str:
    return text_of(value.to_bytes(length or (value.bit_length() + 7) // 8))


def _int(jwk: Document, name: str) -> int:
    return int.from_bytes(bytes_of(jwk, name))


def _read_rsa(jwk: Document) -> rsa.RSAPrivateKey:
    public = rsa.RSAPublicNumbers(_int(jwk, "e"), _int(jwk, "n"))
    numbers = rsa.RSAPrivateNumbers(
        p=_int(jwk, "p"),
        q=_int(jwk, "q"),
        d=_int(jwk, "d"),
        dmp1=_int(jwk, "dp"),
        dmq1=_int(jwk, "dq"),
        iqmp=_int(jwk, "qi"),
        public_numbers=public,
    )
    _one_of(_RSA_SIZES, public.n.bit_length(), None, "key_size")
    return numbers.private_key()


def _read_ec(jwk: Document) -> ec.EllipticCurvePrivateKey:
    curve = CURVES[_one_of(tuple(CURVES), jwk.get("crv"), None, "crv")]
    point = ec.EllipticCurvePublicNumbers(_int(jwk, "x"), _int(jwk, "y"), curve)
    return ec.EllipticCurvePrivateNumbers(_int(jwk, "d"), point).private_key()


def _read_oct(jwk: Document) -> bytes:
    key = bytes_of(jwk, "k")
    _one_of(_AES_SIZES, len(key) * 8, None, "key_size")
    return key


_READERS: Final[Mapping[str, Callable[[Document], _Key]]] = {
    "RSA": _read_rsa,
    "EC": _read_ec,
    "oct": _read_oct,
}
