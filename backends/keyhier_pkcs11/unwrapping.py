"""C_UnwrapKey: into an object of the session that is read and destroyed, whatever wrapped it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pkcs11.constants import Attribute, ObjectClass
from pkcs11.mechanisms import KeyType

from keyhier.errors import IntegrityError, UnsupportedError
from keyhier.secret import SecretBytes
from keyhier_pkcs11.templates import secret_in_session

if TYPE_CHECKING:
    from pkcs11.mechanisms import Mechanism

    from keyhier_pkcs11.binding import BoundKey

__all__ = ["unwrap_and_read"]


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
    held = key.unwrap_key(
        ObjectClass.SECRET_KEY,
        KeyType.GENERIC_SECRET,
        wrapped,
        mechanism=mechanism,
        mechanism_param=parameter,
        capabilities=0,
        template=template,
    )
    try:
        read = held.get_attributes([Attribute.VALUE, Attribute.TOKEN])
    finally:
        held.destroy()
    # Tokens are known that ignore a template (promise 5); the object is destroyed all the same.
    if read.get(Attribute.TOKEN, False):
        raise IntegrityError("the token kept a key that it was told to unwrap for the session only")
    if Attribute.VALUE not in read:
        raise UnsupportedError(
            "the token does not let out what it unwrapped",
            native="C_GetAttributeValue: CKA_VALUE",
            remedy="use an RSA key that may decrypt, or an AES key for A256GCMKW",
        )
    return SecretBytes.adopt(bytearray(read[Attribute.VALUE]))
