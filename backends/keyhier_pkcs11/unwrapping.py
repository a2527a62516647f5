"""C_UnwrapKey: into an object of the session, to be read and destroyed or to stay inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pkcs11.constants import Attribute, ObjectClass
from pkcs11.mechanisms import KeyType

from keyhier.errors import IntegrityError, UnsupportedError
from keyhier.secret import SecretBytes
from keyhier_pkcs11.errors import REFUSED_TEMPLATE, native
from keyhier_pkcs11.templates import secret_in_session

if TYPE_CHECKING:
    from pkcs11.mechanisms import Mechanism
    from pkcs11.types import Object

    from keyhier_pkcs11.binding import BoundKey
    from keyhier_pkcs11.templates import Template

__all__ = ["unwrap_aes_key", "unwrap_and_read"]

_KEPT_IN: Final = "the token does not let out what it unwrapped"
_REMEDY: Final = "use an RSA key that may decrypt, or an AES key for A256GCMKW"


def unwrap_aes_key(
    key: BoundKey, template: Template, mechanism: Mechanism, wrapped: bytes, parameter: Any = None
) -> Object:
    """Unwrap an AES key into an object with the attributes of ``template``.

    Args:
        parameter: the mechanism's parameter, as python-pkcs11 takes it.
    """
    made: Object = key.unwrap_key(
        ObjectClass.SECRET_KEY,
        KeyType.AES,
        wrapped,
        mechanism=mechanism,
        mechanism_param=parameter,
        capabilities=0,
        template=template,
    )
    return made


def unwrap_and_read(  # noqa: PLR0913  # C_UnwrapKey has as many.
    key: BoundKey,
    mechanism: Mechanism,
    wrapped: bytes,
    *,
    private: bool,
    parameter: Any = None,
    length: int | None = None,
) -> SecretBytes:
    """Unwrap, read what came out and destroy it on the token.

    Args:
        parameter: the mechanism's parameter, as python-pkcs11 takes it.
        length: how many bytes come out, where the token wants to be told (CKA_VALUE_LEN).

    Raises:
        UnsupportedError: the token does not let out what it unwrapped.
        IntegrityError: the token put it where it was not told to.
    """
    template = secret_in_session(KeyType.GENERIC_SECRET, private=private)
    if length is not None:
        template[Attribute.VALUE_LEN] = length
    try:
        held = key.unwrap_key(
            ObjectClass.SECRET_KEY,
            KeyType.GENERIC_SECRET,
            wrapped,
            mechanism=mechanism,
            mechanism_param=parameter,
            capabilities=0,
            template=template,
        )
    except REFUSED_TEMPLATE as error:
        # So does NSS in FIPS mode: a key that can be read is none.
        refused = native("C_UnwrapKey", error)
        raise UnsupportedError(_KEPT_IN, native=refused, remedy=_REMEDY) from error
    try:
        read = held.get_attributes([Attribute.VALUE, Attribute.TOKEN])
    finally:
        held.destroy()
    # Tokens are known that ignore a template (promise 5); the object is destroyed all the same.
    if read.get(Attribute.TOKEN, False):
        raise IntegrityError("the token kept a key that it was told to unwrap for the session only")
    if Attribute.VALUE not in read:
        raise UnsupportedError(_KEPT_IN, native="C_GetAttributeValue: CKA_VALUE", remedy=_REMEDY)
    return SecretBytes.adopt(bytearray(read[Attribute.VALUE]))
