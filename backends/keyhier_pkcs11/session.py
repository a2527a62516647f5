"""Sessions with one token, and the one login that they share.

A login belongs to the token and the process, not to a session (PKCS#11 v3.1, section 5.6.9): a
second login is refused, and so is a *wrong* PIN while logged in; closing the session that logged
in logs every other out. So all vaults that this process has open on a token share one
:class:`Connection`: an anchor session logs in first and is closed last, and the others, the
workers, are opened without a PIN.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import attrs
from pkcs11.attributes import AttributeMapper, handle_ulong
from pkcs11.constants import Attribute, TokenFlag
from pkcs11.exceptions import PinIncorrect, PKCS11Error, RandomNoRNG, UserAlreadyLoggedIn
from pkcs11.types import PROTECTED_AUTH

from keyhier.errors import AuthenticationError, InvalidStateError
from keyhier_pkcs11.errors import native, translated
from keyhier_pkcs11.mechanisms import Abilities
from keyhier_pkcs11.token import patiently, serial_of

if TYPE_CHECKING:
    from pkcs11.types import Session, Token

    from keyhier.pin import PinSource
    from keyhier.secret import SecretBytes
    from keyhier_pkcs11.module import Module

__all__ = ["Connection", "connection_to"]


def _mapper() -> AttributeMapper:
    """Return python-pkcs11's attribute mapper, made to read what other programs have written.

    Labels that are not UTF-8 and key types of vendors would otherwise raise.
    """
    mapper = AttributeMapper()
    mapper.register_handler(
        Attribute.LABEL, lambda text: text.encode() if isinstance(text, str) else text, bytes
    )
    mapper.register_handler(Attribute.KEY_TYPE, handle_ulong[0], handle_ulong[1])
    return mapper


_MAPPER: Final = _mapper()


@attrs.frozen
class _PinCheck:
    """Recognises the PIN that did log in, because the token accepts or refuses any afterwards."""

    salt: bytes = attrs.field(repr=False)
    digest: bytes = attrs.field(repr=False)

    @classmethod
    def of(cls, pin: SecretBytes) -> _PinCheck:
        salt = os.urandom(16)
        return cls(salt, cls._hash(pin, salt))

    def accepts(self, pin: SecretBytes) -> bool:
        return hmac.compare_digest(self.digest, self._hash(pin, self.salt))

    @staticmethod
    def _hash(pin: SecretBytes, salt: bytes) -> bytes:
        return hashlib.scrypt(pin.view(), salt=salt, n=2**12, r=8, p=1)


class Connection:
    """This process's connection to one token, shared by all vaults that are open on it.

    Attributes:
        token: the token.
        module: the module that shows it.
        objects_lock: held while token objects are searched, made, changed or destroyed. SoftHSM
            damages objects that are written while another thread searches.
        handles: object handles by (class, CKA_ID). A new login brings a new dictionary, because
            numbers of an earlier login may name other objects: an operation keeps to the one
            that it began with.
        abilities: what the token can do.
    """

    def __init__(self, token: Token, module: Module) -> None:
        self.token = token
        self.module = module
        self.objects_lock = threading.RLock()
        self.handles: dict[tuple[int, bytes], int] = {}
        self.abilities = Abilities(self)
        self._lock = threading.Lock()
        self._users = 0
        self._anchor: Session | None = None
        self._logged_in = False
        self._pin_check: _PinCheck | None = None
        self._idle: list[Session] = []

    @property
    def logged_in(self) -> bool:
        """Whether there is a login, so that private objects can be seen and made."""
        return self._logged_in

    @property
    def in_use(self) -> bool:
        """Whether any vault of this process is open on it."""
        return self._users > 0

    def join(self, pin: PinSource) -> None:
        """Become one more user of the connection, logging in where the token wants it.

        Raises:
            AuthenticationError: the PIN is wrong or there is none. It is tried only once.
            UnavailableError: the token cannot be reached.
        """
        flags = self.token.flags
        if TokenFlag.PROTECTED_AUTHENTICATION_PATH in flags:
            # The token has a keypad of its own, and asks by itself.
            self._join(None, protected=True)
        elif TokenFlag.LOGIN_REQUIRED in flags or pin.given:
            # Asked for outside the lock: a prompt waits for a person.
            with pin.read(f"token {self.token.label!r}") as secret:
                self._join(secret)
        else:
            self._join(None)

    def leave(self) -> None:
        """Stop using the connection; the last one to leave logs out."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._disconnect()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Lend a session, logged in, for one operation.

        A session in which anything failed is closed, not used again: some modules leave an
        operation active behind a failure. Its session objects are destroyed with it.
        """
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = self._open_worker()
        try:
            yield worker
        except BaseException:
            _close(worker)
            raise
        if self._users:
            self._idle.append(worker)
        else:
            _close(worker)

    def alive(self) -> bool:
        """Ask the token for a random byte, on a session of its own, to see whether it is there."""
        try:
            with self.session() as session:
                session.generate_random(8)
        except RandomNoRNG:
            return True
        except PKCS11Error:
            return False
        return True

    def _join(self, pin: SecretBytes | None, *, protected: bool = False) -> None:
        with self._lock:
            if self._anchor is None:
                self._connect(pin, protected=protected)
            elif pin is not None:
                self._check(pin)
            self._users += 1

    def _check(self, pin: SecretBytes) -> None:
        if self._pin_check is None:
            raise InvalidStateError(
                f"token {self.token.label!r} is open in this process without a PIN",
                remedy="close the other vault first, or open this one without pin-source",
            )
        if not self._pin_check.accepts(pin):
            raise AuthenticationError(
                f"the PIN for token {self.token.label!r} is not the one this process is "
                "logged in with"
            )

    def _connect(self, pin: SecretBytes | None, *, protected: bool) -> None:
        what = f"token {self.token.label!r}"
        try:
            if protected:
                self._anchor = self.token.open(user_pin=PROTECTED_AUTH)
            elif pin is not None:
                self._anchor = self.token.open(user_pin=pin.reveal().decode())
            else:
                self._anchor = patiently(self.token.open)
        except UserAlreadyLoggedIn as error:
            raise AuthenticationError(
                f"other code of this process is logged in to {what}, so no PIN can be checked",
                native=native("C_Login", error),
            ) from error
        except PinIncorrect as error:
            raise AuthenticationError(
                f"{what} does not accept the PIN",
                native=native("C_Login", error),
                remedy="check it before the next try: an HSM locks after a few",
            ) from error
        except PKCS11Error as error:
            raise translated(error, "C_Login", f"logging in to {what}") from error
        self._logged_in = protected or pin is not None
        self._pin_check = _PinCheck.of(pin) if pin is not None else None

    def _disconnect(self) -> None:
        while self._idle:
            _close(self._idle.pop())
        if self._anchor is not None:
            _close(self._anchor)
        self._anchor = None
        self._logged_in = False
        self._pin_check = None
        self.handles = {}

    def _open_worker(self) -> Session:
        writable = TokenFlag.WRITE_PROTECTED not in self.token.flags
        try:
            return patiently(lambda: self.token.open(rw=writable, attribute_mapper=_MAPPER))
        except PKCS11Error as error:
            what = f"opening a session with token {self.token.label!r}"
            raise translated(error, "C_OpenSession", what) from error


def _close(session: Session) -> None:
    # A session that the token has lost is closed already.
    with suppress(PKCS11Error):
        session.close()


_registry_lock = threading.Lock()
_connections: dict[tuple[str, int, str, str], Connection] = {}


def connection_to(token: Token, module: Module) -> Connection:
    """Return the process's one connection to ``token``, connected or not."""
    key = (module.so, token.slot.slot_id, serial_of(token), token.label)
    with _registry_lock:
        return _connections.setdefault(key, Connection(token, module))
