"""JSON web keys: private ones, for import, and what the SDK makes of those it is shown."""

from __future__ import annotations

from functools import cache
from typing import Any

from azure.keyvault.keys import KeyVaultKey
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from keyhier import base64url


def _text(number: int, length: int | None = None) -> str:
    return base64url.encode(number.to_bytes(length or (number.bit_length() + 7) // 8))


@cache
def _rsa_numbers(bits: int) -> rsa.RSAPrivateNumbers:
    """Made once, as that takes long."""
    return rsa.generate_private_key(65537, bits).private_numbers()


def rsa_jwk(bits: int = 2048, **more: object) -> dict[str, Any]:
    numbers = _rsa_numbers(bits)
    public = numbers.public_numbers
    parts = {
        "n": public.n,
        "e": public.e,
        "d": numbers.d,
        "p": numbers.p,
        "q": numbers.q,
        "dp": numbers.dmp1,
        "dq": numbers.dmq1,
        "qi": numbers.iqmp,
    }
    return {"kty": "RSA"} | {name: _text(part) for name, part in parts.items()} | more


def ec_jwk(**more: object) -> dict[str, Any]:
    numbers = ec.generate_private_key(ec.SECP384R1()).private_numbers()
    point = numbers.public_numbers
    parts = {"x": point.x, "y": point.y, "d": numbers.private_value}
    shown = {name: _text(part, 48) for name, part in parts.items()}
    return {"kty": "EC", "crv": "P-384"} | shown | more


def members(key: KeyVaultKey) -> Any:
    """Return the SDK's JSON web key, whose attributes its types do not know."""
    return key.key
