"""Finding, using, changing and destroying the key objects of a token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import PKCS11Error

from keyhier.errors import AmbiguousError, NotFoundError
from keyhier_pkcs11.binding import BoundKey, handle_of
from keyhier_pkcs11.errors import STALE_HANDLE, translated
from keyhier_pkcs11.search import search
from keyhier_pkcs11.token import patiently
from keyhier_pkcs11.versions import VersionId

if TYPE_CHECKING:
    from pkcs11.types import Object, Session

    from keyhier_pkcs11.session import Connection
    from keyhier_pkcs11.templates import Template

__all__ = ["SECRET_HALVES", "Identity", "KeyObject", "TokenObjects"]

_T = TypeVar("_T")

Identity = tuple[ObjectClass, bytes]
"""What a key object is found again by: its class and CKA_ID."""

_COMMON: Final = (Attribute.LABEL, Attribute.ID, Attribute.KEY_TYPE, Attribute.EXTRACTABLE)
_USAGES: Final = {
    ObjectClass.PRIVATE_KEY: (Attribute.DECRYPT, Attribute.UNWRAP),
    ObjectClass.SECRET_KEY: (
        Attribute.ENCRYPT,
        Attribute.DECRYPT,
        Attribute.WRAP,
        Attribute.UNWRAP,
    ),
    ObjectClass.PUBLIC_KEY: (),
}
_MATERIAL: Final = {
    ObjectClass.PRIVATE_KEY: (
        Attribute.MODULUS,
        Attribute.PUBLIC_EXPONENT,
        Attribute.ALWAYS_AUTHENTICATE,
    ),
    ObjectClass.SECRET_KEY: (Attribute.VALUE_LEN,),
    ObjectClass.PUBLIC_KEY: (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT),
}
SECRET_HALVES: Final = (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY)


@attrs.frozen
class KeyObject:
    """A key object of the token, as it was when it was read.

    Attributes:
        object_class: private, secret or public key.
        key_type: the CKA_KEY_TYPE.
        label: the CKA_LABEL, or None where it is not UTF-8.
        id: the CKA_ID, which may be empty.
        usages: which of DECRYPT, UNWRAP, ENCRYPT and WRAP it allows.
        extractable: the CKA_EXTRACTABLE.
        always_authenticate: the CKA_ALWAYS_AUTHENTICATE: whether every use wants the PIN again.
        modulus, exponent: an RSA key's numbers, 0 where the token does not show them.
        value_bytes: a secret key's size, 0 where the token does not show it.
        handle: its number in this login.
    """

    object_class: ObjectClass
    key_type: int
    label: str | None
    id: bytes
    usages: frozenset[Attribute]
    extractable: bool
    always_authenticate: bool
    modulus: int
    exponent: int
    value_bytes: int
    handle: int

    @property
    def identity(self) -> Identity:
        """What it is found again by."""
        return self.object_class, self.id

    @property
    def version(self) -> VersionId | None:
        """What the CKA_ID says, if keyhier made the key."""
        version = VersionId.read(self.id)
        expected = ObjectClass.PRIVATE_KEY
        if version is not None and version.algorithm is not None:
            expected = ObjectClass.SECRET_KEY
        return version if self.object_class is expected else None

    def __str__(self) -> str:
        kind = self.object_class.name.lower().replace("_", " ")
        return f"{kind} {self.label!r} id {self.id.hex() or '(none)'}"


class TokenObjects:
    """The key objects that a connection sees."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(
        self,
        *,
        label: str | None = None,
        key_id: bytes | None = None,
        classes: Iterable[ObjectClass] = SECRET_HALVES,
    ) -> list[KeyObject]:
        """Return the keys on the token with this label and CKA_ID, either left out or not."""
        wanted: Template = {Attribute.TOKEN: True}
        if label is not None:
            # Text with a lone surrogate is no UTF-8, and so no label of anything.
            if not label.isascii() and label != label.encode("utf-8", "replace").decode():
                return []
            wanted[Attribute.LABEL] = label
        if key_id is not None:
            wanted[Attribute.ID] = key_id

        def read_all() -> list[KeyObject]:
            found: list[KeyObject] = []
            with self._connection.objects_lock, self._connection.session() as session:
                for object_class in classes:
                    objects = search(session, {Attribute.CLASS: object_class, **wanted})
                    found.extend(_read(object_class, each) for each in objects)
            return found

        try:
            return patiently(read_all)
        except PKCS11Error as error:
            raise translated(error, "C_FindObjects", "searching for keys") from error

    def attributes(self, identity: Identity, names: Sequence[Attribute]) -> dict[Attribute, Any]:
        """Read attributes of a key; those that the token does not show are left out."""
        try:
            with self._connection.objects_lock, self._connection.session() as session:
                found = _single(self._search(session, identity), identity)
                return dict(found.get_attributes(list(names)))
        except PKCS11Error as error:
            raise translated(error, "C_GetAttributeValue", "reading a key") from error

    def use(self, identity: Identity, operation: Callable[[BoundKey], _T]) -> _T:
        """Run ``operation`` with a key, in a session of its own.

        A handle that is stale is looked up anew, once.

        Raises:
            NotFoundError: the key is gone.
            PKCS11Error: whatever the operation raises.
        """
        try:
            with self._connection.session() as session:
                return operation(
                    BoundKey(session, self._handle(session, identity), self._connection.module)
                )
        except STALE_HANDLE:
            self._connection.handles.pop(identity, None)
        with self._connection.session() as session:
            return operation(
                BoundKey(session, self._handle(session, identity), self._connection.module)
            )

    def bound(self, session: Session, identity: Identity) -> BoundKey:
        """Return a key for use in a session that the caller keeps.

        Raises:
            NotFoundError: the key is gone.
        """
        with self._connection.objects_lock:
            found = patiently(lambda: self._search(session, identity))
        return BoundKey(session, handle_of(_single(found, identity)), self._connection.module)

    def set_usages(self, identity: Identity, usages: Iterable[Attribute], *, value: bool) -> None:
        """Allow or forbid usages of a key on the token.

        Raises:
            NotFoundError: the key is gone.
            PKCS11Error: the token refuses.
        """
        with self._connection.objects_lock, self._connection.session() as session:
            found = _single(self._search(session, identity), identity)
            for usage in usages:
                found[usage] = value

    def destroy(self, identity: Identity) -> None:
        """Destroy a key on the token.

        Raises:
            NotFoundError: the key is gone.
            PKCS11Error: the token refuses.
        """
        with self._connection.objects_lock, self._connection.session() as session:
            _single(self._search(session, identity), identity).destroy()
            self._connection.handles.pop(identity, None)

    def _handle(self, session: Session, identity: Identity) -> int:
        handles = self._connection.handles
        handle = handles.get(identity)
        if handle is None:
            with self._connection.objects_lock:
                found = patiently(lambda: self._search(session, identity))
            handle = handles[identity] = handle_of(_single(found, identity))
        return handle

    def _search(self, session: Session, identity: Identity) -> list[Object]:
        object_class, key_id = identity
        template: Template = {
            Attribute.CLASS: object_class,
            Attribute.ID: key_id,
            Attribute.TOKEN: True,
        }
        return search(session, template)


def _single(found: list[_T], identity: Identity) -> _T:
    """Return the only one of ``found``.

    Raises:
        NotFoundError: there is none.
        AmbiguousError: there are several.
    """
    object_class, key_id = identity
    what = f"{object_class.name.lower().replace('_', ' ')} with id {key_id.hex()}"
    if not found:
        raise NotFoundError(f"there is no {what} on the token any more")
    if len(found) > 1:
        raise AmbiguousError(
            f"the token has {len(found)} objects that are a {what}",
            remedy="give each its own CKA_ID, for example with pkcs11-tool --set-id",
        )
    return found[0]


def _read(object_class: ObjectClass, found: Object) -> KeyObject:
    usages = _USAGES[object_class]
    read: dict[Any, Any] = found.get_attributes([*_COMMON, *usages, *_MATERIAL[object_class]])
    return KeyObject(
        object_class=object_class,
        key_type=read.get(Attribute.KEY_TYPE, -1),
        label=_text(read.get(Attribute.LABEL, b"")),
        id=read.get(Attribute.ID, b""),
        usages=frozenset(usage for usage in usages if read.get(usage, False)),
        extractable=read.get(Attribute.EXTRACTABLE, False),
        always_authenticate=read.get(Attribute.ALWAYS_AUTHENTICATE, False),
        modulus=int.from_bytes(read.get(Attribute.MODULUS, b"")),
        exponent=int.from_bytes(read.get(Attribute.PUBLIC_EXPONENT, b"")),
        value_bytes=read.get(Attribute.VALUE_LEN, 0),
        handle=handle_of(found),
    )


def _text(label: bytes) -> str | None:
    try:
        return label.decode()
    except UnicodeDecodeError:
        return None
