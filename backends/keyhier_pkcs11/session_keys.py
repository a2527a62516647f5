"""AES keys that were unwrapped into the token: they live for a session and never come out.

A session object belongs to the session that made it and goes with it (PKCS#11 v3.1, section 5.7),
so that session is kept from everybody else until the key is let go. The key is used from any.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final, TypeVar, cast

import attrs
from pkcs11.constants import Attribute
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import Mechanism

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.errors import (
    IntegrityError,
    InvalidStateError,
    NotFoundError,
    UnsupportedError,
    UnwrapError,
)
from keyhier_pkcs11.binding import BoundKey, handle_of
from keyhier_pkcs11.errors import clearly_lost
from keyhier_pkcs11.login import Login, LoginOverError
from keyhier_pkcs11.profile import Way
from keyhier_pkcs11.rsa import OAEP
from keyhier_pkcs11.templates import AES_USAGES, kept_in_session
from keyhier_pkcs11.unwrapping import unwrap_aes_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from pkcs11.types import Object

    from keyhier.driver import KeyVersion
    from keyhier_pkcs11.objects import Identity, TokenObjects
    from keyhier_pkcs11.session import Connection
    from keyhier_pkcs11.templates import Template

__all__ = ["SessionKey", "SessionKeys"]

_T = TypeVar("_T")

# opencryptoki sets these only when it is told so again.
_PROTECTION: Final = frozenset({Attribute.SENSITIVE, Attribute.EXTRACTABLE})
_KEY_WRAP_OVERHEAD: Final = 8
_KEY_WRAPS: Final = frozenset(
    {WrapAlgorithm.A128KW, WrapAlgorithm.A192KW, WrapAlgorithm.A256KW, WrapAlgorithm.A256KWP}
)


@attrs.frozen(eq=False)
class SessionKey:
    """A key that was unwrapped into the token; what :attr:`KeyVersion.handle` is for such a key.

    Attributes:
        number: its handle.
        login: the login that it belongs to.
        stack: destroys it and ends its session.
    """

    number: int
    login: Login = attrs.field(repr=False)
    stack: ExitStack = attrs.field(repr=False)


class SessionKeys:
    """The keys that one vault has unwrapped into its token."""

    def __init__(self, connection: Connection, objects: TokenObjects) -> None:
        self._connection = connection
        self._objects = objects
        self._lock = threading.Lock()
        self._held: set[SessionKey] = set()

    def unwrap(
        self, kek: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, purpose: WrapAlgorithm
    ) -> SessionKey:
        """Unwrap an AES key for ``purpose``, to stay in the token.

        Args:
            kek: the key that wrapped it, which may itself be one that was unwrapped here.

        Raises:
            InvalidStateError, NotFoundError: as :meth:`use`, where it is.
            UnwrapError: by its length, what is wrapped is no key of the size that is wanted.
            UnsupportedError: the token cannot unwrap this way, or not without showing the key.
            IntegrityError: the token made another key than it was told to.
            PKCS11Error: what the token answers to what it is to unwrap.
        """
        template = kept_in_session(AES_USAGES[purpose], private=self._connection.logged_in)
        size = KeySpec.parse(f"AES-{purpose.value[1:4]}").size
        if not _may_hold(kek, algorithm, wrapped, size):
            raise UnwrapError
        held = self._connection.recovering(
            lambda login: self._unwrap_in(login, kek, algorithm, wrapped, (template, size))
        )
        with self._lock:
            self._held.add(held)
        return held

    def _unwrap_in(
        self,
        login: Login,
        kek: KeyVersion,
        algorithm: WrapAlgorithm,
        wrapped: bytes,
        wanted: tuple[Template, int],
    ) -> SessionKey:
        template, size = wanted
        handle = self._handle(login, kek)
        with self._connection.turn, ExitStack() as stack:
            session = stack.enter_context(login.kept_session())
            with self._connection.module.calls:
                key = BoundKey(session, handle, self._connection.module)
                if kek.public_key is not None:
                    self._require(key, kek.public_key, algorithm)
                made = self._unwrap(key, kek, algorithm, wrapped, template)
                stack.callback(self._destroy, login, made)
                _protect(made, template, size)
            return SessionKey(handle_of(made), login, stack.pop_all())

    def _handle(self, login: Login, kek: KeyVersion) -> int:
        held = kek.handle
        if not isinstance(held, SessionKey):
            return self._objects.handle(login, cast("Identity", held))
        self._require_held(held)
        if held.login is not login:
            raise _gone()
        return held.number

    def _destroy(self, login: Login, made: Object) -> None:
        with self._connection.turn, self._connection.module.calls:
            # Otherwise it went with the login, or is a parent process's.
            if login.current:
                with suppress(PKCS11Error):
                    made.destroy()

    def use(self, held: SessionKey, operation: Callable[[BoundKey], _T]) -> _T:
        """Run ``operation`` with a key, in a session of its own.

        Raises:
            InvalidStateError: the key was let go.
            NotFoundError: it went with the login that it belonged to.
            PKCS11Error: whatever the operation raises.
        """
        self._require_held(held)
        login = self._connection.login()
        if held.login is login:
            with suppress(LoginOverError):
                return self._use(held, operation)
            self._connection.recover(login)
        raise _gone()

    def _require_held(self, held: SessionKey) -> None:
        if held not in self._held:
            raise InvalidStateError("the key that was unwrapped into the token has been closed")

    def _use(self, held: SessionKey, operation: Callable[[BoundKey], _T]) -> _T:
        try:
            with held.login.session() as session:
                return operation(BoundKey(session, held.number, self._connection.module))
        except PKCS11Error as error:
            if not clearly_lost(error):
                raise
        raise LoginOverError

    def discard(self, held: SessionKey) -> None:
        """Destroy a key in the token; doing so twice is harmless."""
        with self._lock:
            if held not in self._held:
                return
            self._held.remove(held)
        held.stack.close()

    def close(self) -> None:
        """Destroy all of them."""
        for held in list(self._held):
            self.discard(held)

    def _require(self, key: BoundKey, public_key: RSAPublicKey, algorithm: WrapAlgorithm) -> None:
        """Raise unless the token unwraps into itself with an algorithm, not only decrypts."""
        abilities = self._connection.abilities
        able: tuple[WrapAlgorithm, ...] = ()
        if Way.UNWRAP in abilities.rsa_ways:
            able = abilities.rsa_algorithms((key.handle, public_key), Way.UNWRAP)
        if algorithm not in able or algorithm is WrapAlgorithm.RSA1_5:
            raise UnsupportedError(
                f"the token does not unwrap keys into itself with {algorithm}; "
                f"it does with {', '.join(able) or 'no RSA algorithm'}"
            )

    def _unwrap(
        self,
        key: BoundKey,
        kek: KeyVersion,
        algorithm: WrapAlgorithm,
        wrapped: bytes,
        template: Template,
    ) -> Object:
        if algorithm in OAEP:
            return unwrap_aes_key(key, template, Mechanism.RSA_PKCS_OAEP, wrapped, OAEP[algorithm])
        if algorithm is WrapAlgorithm.RSA_AES_KWP:
            size = kek.spec.size
            return self._unwrap_in_two_steps(key, wrapped[:size], wrapped[size:], template)
        if algorithm not in _KEY_WRAPS:
            raise UnsupportedError(f"a key for {algorithm} does not unwrap keys into the token")
        mechanism = self._connection.abilities.key_wrap(algorithm).mechanism
        return unwrap_aes_key(key, template, mechanism, wrapped)

    def _unwrap_in_two_steps(
        self, key: BoundKey, head: bytes, tail: bytes, template: Template
    ) -> Object:
        """Compose ``RSA-AES-KWP`` (PKCS#11 v3.1, section 6.1.23); all of it stays inside."""
        mechanism = self._connection.abilities.key_wrap(WrapAlgorithm.A256KWP).mechanism
        oaep = OAEP[WrapAlgorithm.RSA_OAEP]
        inside = kept_in_session((Attribute.UNWRAP,), private=self._connection.logged_in)
        transport = unwrap_aes_key(key, inside, Mechanism.RSA_PKCS_OAEP, head, oaep)
        inner = BoundKey(key.session, handle_of(transport), self._connection.module)
        opened = unwrap_aes_key(inner, template, mechanism, tail)
        transport.destroy()
        return opened


def _gone() -> NotFoundError:
    return NotFoundError(
        "the key was unwrapped into the token and went with the connection that was lost",
        remedy="unwrap it again",
    )


def _may_hold(kek: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, size: int) -> bool:
    """Whether ``wrapped`` can hold a key of ``size`` bytes, by its length, which OAEP hides."""
    if algorithm not in _KEY_WRAPS and algorithm is not WrapAlgorithm.RSA_AES_KWP:
        return True
    head = kek.spec.size if algorithm is WrapAlgorithm.RSA_AES_KWP else 0
    return len(wrapped) == head + size + _KEY_WRAP_OVERHEAD


def _protect(made: Object, template: Template, size: int) -> None:
    """See to it that the key cannot come out, because some tokens ignore the template.

    Raises:
        IntegrityError: it can, or is another key than the template says.
        UnwrapError: the token shows its size, which is not ``size`` bytes.
    """
    wanted = {name: value for name, value in template.items() if isinstance(value, bool)}
    for name in _loose(made, wanted) & _PROTECTION:
        # What the token refuses is found by reading again.
        with suppress(PKCS11Error):
            made[name] = wanted[name]
    if wrong := _loose(made, wanted):
        listed = ", ".join(sorted(f"CKA_{name.name}" for name in wrong))
        raise IntegrityError(
            f"the token unwrapped a key with another {listed} than it was told to; it was destroyed"
        )
    shown = made.get_attributes([Attribute.VALUE, Attribute.VALUE_LEN])
    if Attribute.VALUE in shown:
        raise IntegrityError("the token shows the value of a sensitive key; it was destroyed")
    # SoftHSM says 0 of an unwrapped key.
    if shown.get(Attribute.VALUE_LEN, 0) not in (0, size):
        raise UnwrapError


def _loose(made: Object, wanted: Mapping[Attribute, bool]) -> set[Attribute]:
    found = made.get_attributes(list(wanted))
    return {name for name, value in wanted.items() if found.get(name) is not value}
