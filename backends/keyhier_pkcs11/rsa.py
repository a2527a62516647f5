"""RSA on the token: opening what was wrapped with the public half."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicNumbers,
    rsa_crt_dmp1,
    rsa_crt_dmq1,
    rsa_crt_iqmp,
)
from cryptography.hazmat.primitives.serialization import load_der_private_key
from pkcs11.constants import Attribute
from pkcs11.mechanisms import MGF, Mechanism

from keyhier.algorithms import WrapAlgorithm
from keyhier.errors import IntegrityError, InvalidInputError
from keyhier.secret import SecretBytes
from keyhier_pkcs11.unwrapping import unwrap_and_read

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    from keyhier_pkcs11.binding import BoundKey
    from keyhier_pkcs11.templates import Template

__all__ = ["OAEP", "decrypt", "private_key_parts", "public_key_of", "unwrap"]

OAEP: Final = {
    WrapAlgorithm.RSA_OAEP: (Mechanism.SHA_1, MGF.SHA1, None),
    WrapAlgorithm.RSA_OAEP_256: (Mechanism.SHA256, MGF.SHA256, None),
}
"""The parameters of CKM_RSA_PKCS_OAEP: hash, mask generation function and label."""

_DECRYPTION: Final = {
    WrapAlgorithm.RSA1_5: (Mechanism.RSA_PKCS, None),
    **{algorithm: (Mechanism.RSA_PKCS_OAEP, parameter) for algorithm, parameter in OAEP.items()},
}


def decrypt(key: BoundKey, algorithm: WrapAlgorithm, wrapped: bytes) -> SecretBytes:
    """Open ``wrapped`` with C_Decrypt.

    Never by raw RSA and padding checked here, whose timing would be an oracle.
    """
    mechanism, parameter = _DECRYPTION[algorithm]
    opened = key.decrypt(wrapped, mechanism=mechanism, mechanism_param=parameter)
    return SecretBytes.adopt(bytearray(opened))


def unwrap(
    key: BoundKey, algorithm: WrapAlgorithm, wrapped: bytes, *, private: bool
) -> SecretBytes:
    """Open an OAEP ``wrapped`` with C_UnwrapKey, for keys and tokens that do not decrypt.

    Not for RSA1_5: what follows a good padding and not a bad one would show by its time.

    Raises:
        UnsupportedError, IntegrityError: as :func:`~keyhier_pkcs11.unwrapping.unwrap_and_read`.
    """
    return unwrap_and_read(
        key, Mechanism.RSA_PKCS_OAEP, wrapped, private=private, parameter=OAEP[algorithm]
    )


def public_key_of(modulus: int, exponent: int) -> RSAPublicKey:
    """Return the public half with these numbers.

    Raises:
        IntegrityError: they are no RSA public key.
    """
    try:
        return RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError as error:
        raise IntegrityError(f"the token shows numbers that are no RSA key: {error}") from None


def private_key_parts(material: SecretBytes) -> Template:
    """Take an RSA private key (PKCS#8, DER) apart into the attributes that hold it.

    All CRT parts are given, which C_CreateObject wants on most tokens.

    Raises:
        InvalidInputError: it is no RSA private key.
    """
    try:
        key = load_der_private_key(material.view(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise InvalidInputError("the material is no unencrypted RSA private key in PKCS#8")
    numbers = key.private_numbers()
    p, q, d = numbers.p, numbers.q, numbers.d
    parts = {
        Attribute.MODULUS: numbers.public_numbers.n,
        Attribute.PUBLIC_EXPONENT: numbers.public_numbers.e,
        Attribute.PRIVATE_EXPONENT: d,
        Attribute.PRIME_1: p,
        Attribute.PRIME_2: q,
        Attribute.EXPONENT_1: rsa_crt_dmp1(d, p),
        Attribute.EXPONENT_2: rsa_crt_dmq1(d, q),
        Attribute.COEFFICIENT: rsa_crt_iqmp(p, q),
    }
    return {name: part.to_bytes((part.bit_length() + 7) // 8) for name, part in parts.items()}
