"""Objects that other programs put on a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pkcs11.constants import Attribute, ObjectClass
from pkcs11.mechanisms import KeyType

from keyhier_pkcs11.driver import Pkcs11Driver

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    from keyhier.driver import Driver

__all__ = ["SEALING", "WRAPPING", "put", "put_aes", "put_public"]

WRAPPING: Final = (Attribute.WRAP, Attribute.UNWRAP)
SEALING: Final = (Attribute.ENCRYPT, Attribute.DECRYPT)


def put(driver: Driver, object_class: ObjectClass, **attributes: Any) -> None:
    """Create an object on the token, as any program may."""
    template = {Attribute[name.upper()]: value for name, value in attributes.items()}
    kept = {Attribute.TOKEN: True, Attribute.PRIVATE: True, Attribute.CLASS: object_class}
    assert isinstance(driver, Pkcs11Driver)
    with driver.connection.session() as session:
        session.create_object({**kept, **template})


def put_aes(
    driver: Driver,
    label: str,
    key_id: bytes,
    usages: tuple[Attribute, ...] = WRAPPING,
    size: int = 32,
    **attributes: Any,
) -> None:
    """Create an AES key of known value, sensitive and not extractable unless told otherwise."""
    told = {usage.name.lower(): usage in usages for usage in (*WRAPPING, *SEALING)}
    put(
        driver,
        ObjectClass.SECRET_KEY,
        key_type=KeyType.AES,
        label=label,
        id=key_id,
        value=bytes(range(size)),
        **{**told, "sensitive": True, "extractable": False, **attributes},
    )


def put_public(driver: Driver, label: str, key_id: bytes, key: RSAPublicKey) -> None:
    """Create the public half of an RSA key of 2048 bits."""
    numbers = key.public_numbers()
    put(
        driver,
        ObjectClass.PUBLIC_KEY,
        key_type=KeyType.RSA,
        label=label,
        id=key_id,
        modulus=numbers.n.to_bytes(256),
        public_exponent=numbers.e.to_bytes(3),
    )
