"""A key that may leave the token: wrapped there under a key of one session, and opened here.

The wrapping key is made here for this one time, so that the token hands nothing out in the clear;
C_WrapKey with padding (RFC 5649) takes private keys, as PKCS#8, and AES keys alike.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from pkcs11.constants import Attribute
from pkcs11.exceptions import PKCS11Error

from keyhier.errors import IntegrityError, UnsupportedError, UnwrapError
from keyhier.rsa_wrap import open_transport
from keyhier.secret import SecretBytes
from keyhier_pkcs11.binding import BoundKey, OtherKey, handle_of
from keyhier_pkcs11.errors import INCAPABLE, native, translated
from keyhier_pkcs11.templates import kept_in_session

if TYPE_CHECKING:
    from pkcs11.mechanisms import Mechanism

    from keyhier.driver import KeyVersion
    from keyhier_pkcs11.objects import Identity, TokenObjects
    from keyhier_pkcs11.session import Connection

__all__ = ["export_key"]

_WRAPPING_KEY_BYTES: Final = 32
_SEQUENCE: Final = b"\x30\x82"
_SEQUENCE_HEADER_BYTES: Final = 4
_REMEDY: Final = "move the records and not the key"


def export_key(connection: Connection, objects: TokenObjects, key: KeyVersion) -> SecretBytes:
    """Return an AES key's bytes, or an RSA private key as PKCS#8; the caller wipes them.

    Raises:
        UnsupportedError: the key was not made extractable, or the token cannot wrap it.
        NotFoundError: the key is gone.
        IntegrityError: what the token wrapped does not open.
    """
    identity = cast("Identity", key.handle)
    if not objects.attributes(identity, (Attribute.EXTRACTABLE,)).get(Attribute.EXTRACTABLE):
        raise UnsupportedError(
            f"{key.id} was not made extractable, and does not leave the token", remedy=_REMEDY
        )
    abilities = connection.abilities
    key_wrap = connection.recovering(lambda _: abilities.padded_key_wrap())
    if key_wrap is None:
        raise abilities.lacking("a mechanism that proves to be AES key wrap with padding")
    with SecretBytes.random(_WRAPPING_KEY_BYTES) as wrapping:
        wrapped = _wrapped(connection, objects, identity, wrapping, key_wrap.mechanism)
        with suppress(UnwrapError), open_transport(wrapping, wrapped) as opened:
            length = len(opened) if key.public_key is None else _sequence_bytes(opened)
            # SoftHSM fills a private key up to a multiple of 8 bytes, although the wrap does so.
            if length <= len(opened) and not any(opened.view()[length:]):
                return SecretBytes(opened.view()[:length])
    raise IntegrityError(f"what the token wrapped of {key.id} is not that key")


def _sequence_bytes(encoded: SecretBytes) -> int:
    """Return how many bytes the DER of a private key has, by its header, or more than there are."""
    view = encoded.view()
    length = _SEQUENCE_HEADER_BYTES + int.from_bytes(view[2:_SEQUENCE_HEADER_BYTES])
    return length if bytes(view[:2]) == _SEQUENCE else len(view) + 1


def _wrapped(
    connection: Connection,
    objects: TokenObjects,
    identity: Identity,
    wrapping: SecretBytes,
    mechanism: Mechanism,
) -> bytes:
    """Have the token wrap a key under one that is given, which is gone with the session."""
    template = {
        **kept_in_session((Attribute.WRAP,), private=connection.logged_in),
        Attribute.VALUE: wrapping.reveal(),
    }

    def wrap(bound: BoundKey) -> bytes:
        held = bound.session.create_object(template)
        try:
            wrapper = BoundKey(bound.session, handle_of(held), connection.module)
            return wrapper.wrap_key(OtherKey(bound.handle), mechanism=mechanism)
        finally:
            held.destroy()

    try:
        return objects.use(identity, wrap, keep_session=False)
    except INCAPABLE as error:
        raise UnsupportedError(
            "the token does not wrap the key under one of a session",
            native=native("C_WrapKey", error),
            remedy=_REMEDY,
        ) from error
    except PKCS11Error as error:
        raise translated(error, "C_WrapKey", "letting the key go") from error
