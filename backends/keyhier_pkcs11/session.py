"""The connection to one token, which all vaults of the process share, and which comes back.

That a token was lost is told by the code of a call that failed, never by a test before use. Then
one thread connects anew while the others wait for it: it asks whether the login still holds,
logs in again where it does not, and initialises the module anew where that does not help either.
"""

from __future__ import annotations

import copy
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error, RandomNoRNG, UserAlreadyLoggedIn
from pkcs11.types import PROTECTED_AUTH

from keyhier.errors import (
    AuthenticationError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    UnavailableError,
)
from keyhier.pin import PinSource
from keyhier_pkcs11.address import TokenAddress
from keyhier_pkcs11.errors import lost, native, translated
from keyhier_pkcs11.fork import renewed_in_child
from keyhier_pkcs11.login import Login, LoginOverError
from keyhier_pkcs11.mechanisms import Abilities
from keyhier_pkcs11.pins import PIN_ERRORS, PinCheck, RefusedPins
from keyhier_pkcs11.pool import USUAL_SESSIONS, Permits
from keyhier_pkcs11.token import choose_token, patiently, serial_of

if TYPE_CHECKING:
    from pkcs11.types import Session, Token

    from keyhier.secret import SecretBytes
    from keyhier_pkcs11.module import Module

__all__ = ["Connection", "connection_to", "find_token"]

_T = TypeVar("_T")

_RESTART_PATIENCE_SECONDS: Final = 5.0
_LOGINS: Final = 10
_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 0.02
_NO_TURN: Final = nullcontext()


class Connection:
    """This process's connection to one token, shared by all vaults that are open on it.

    Attributes:
        module: the module that shows the token.
        token: the token, as the module showed it last.
        objects_lock: held while token objects are searched, made, changed or destroyed. SoftHSM
            damages objects that are written while another thread searches. Whoever needs both
            takes it before a session, and before :attr:`turn`.
        abilities: what the token can do.
    """

    def __init__(self, module: Module, token: Token) -> None:
        self.module = module
        self.token = token
        self._users: set[object] = set()
        self._bound = USUAL_SESSIONS
        self._pin = PinSource()
        self._pin_check: PinCheck | None = None
        self._refused = RefusedPins()
        self._failures = 0
        self._failure: KeyhierError | None = None
        self.abilities = Abilities(self)
        self.renew_in_child()
        renewed_in_child(self)

    def renew_in_child(self) -> None:
        """Forget the parent's login, which is not to be closed here, and take new locks."""
        self.objects_lock = threading.RLock()
        self.abilities = Abilities(self, self.abilities.profile)
        self._lock = threading.Lock()
        self._permits = Permits(self._bound)
        self._login: Login | None = None

    @property
    def turn(self) -> AbstractContextManager[object]:
        """What an operation holds where the profile says that the module does not keep threads
        apart (``locks``): of such a module one runs at a time. Elsewhere it holds nothing.

        It is taken before every other lock but :attr:`objects_lock`.
        """
        return self.module.turn if self.abilities.profile.locks is False else _NO_TURN

    @property
    def logged_in(self) -> bool:
        """Whether there is a login, so that private objects can be seen and made."""
        return self.login().logged_in

    @property
    def max_sessions(self) -> int:
        """How many sessions there may be, besides the one that logs in."""
        return self._bound

    @property
    def in_use(self) -> bool:
        """Whether a vault is open on it."""
        return bool(self._users)

    @property
    def works(self) -> bool:
        """Whether its login holds, asked of the token."""
        login = self._login
        return login is not None and login.holds()

    @contextmanager
    def reading_pin(self, pin: PinSource) -> Iterator[SecretBytes | None]:
        """Read the PIN where the token wants one here, and wipe it afterwards."""
        flags = self.token.flags
        keypad = TokenFlag.PROTECTED_AUTHENTICATION_PATH in flags
        if keypad or not (TokenFlag.LOGIN_REQUIRED in flags or pin.given):
            yield None
            return
        with pin.read(f"token {self.token.label!r}") as secret:
            yield secret

    def join(
        self, user: object, pin: PinSource, secret: SecretBytes | None, max_sessions: int
    ) -> None:
        """Let ``user`` use the connection, logging in where the token wants it.

        Args:
            user: who does; the same is given to :meth:`leave`.
            pin: where the PIN comes from when the token was lost.
            secret: the PIN now, as :meth:`reading_pin` gives it.
            max_sessions: how many sessions there may be; the first user says it.

        Raises:
            AuthenticationError: the PIN is wrong or there is none. It is tried only once.
            UnavailableError: the token cannot be reached.
        """
        with self.turn, self._lock:
            if not self._users:
                self._pin_check = None
                self._bound = max_sessions
                self._permits = Permits(max_sessions)
                try:
                    self._connect(secret)
                except BaseException:
                    # Also where the caller has given up, and wiped the PIN, after the login.
                    self._end_login()
                    raise
            elif secret is not None:
                self._check(secret)
            self._pin = pin
            self._users.add(user)

    def check_pin(self, secret: SecretBytes) -> None:
        """Compare a PIN with the one that is logged in, without asking the token.

        Raises:
            AuthenticationError: it is another.
            InvalidStateError: the token is open without a PIN.
        """
        with self._lock:
            self._check(secret)

    def leave(self, user: object) -> None:
        """Stop using the connection; the last one to leave logs out."""
        with self.turn, self._lock:
            self._users.discard(user)
            if not self._users:
                self._end_login()

    def login(self) -> Login:
        """Return the present login; where there is none any more, connect anew.

        Raises:
            UnavailableError: the token cannot be reached.
            AuthenticationError: it wants another PIN than it is given.
            InvalidStateError: all vaults on the token were closed.
        """
        login = self._login
        if login is None:
            self.recover(None)
            login = self._login
        if login is None:
            raise InvalidStateError("the vault is closed")
        return login

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Lend a session, logged in, for one operation; see :meth:`Login.session`."""
        with ExitStack() as lent:
            yield self._lend(lent)

    def _lend(self, lent: ExitStack) -> Session:
        while True:
            login = self.login()
            with suppress(LoginOverError):
                return lent.enter_context(login.session())
            self.recover(login)

    def alive(self) -> bool:
        """Ask the token for a random byte, on a session of its own, to see whether it is there."""
        try:
            with self.session() as session:
                session.generate_random(8)
        except RandomNoRNG:
            return True
        except (PKCS11Error, KeyhierError, LoginOverError):
            return False
        return True

    def recovering(
        self,
        call: Callable[[Login], _T],
        failed: Callable[[PKCS11Error | KeyhierError], bool] = lost,
    ) -> _T:
        """Run ``call`` with the login; where the token was lost, connect and run it once more.

        Args:
            call: what may be done twice, wholly in the login that it is given.
            failed: whether an error that it raises may mean a lost token.

        Raises:
            KeyhierError: the token does not come back, or what ``call`` raises.
            PKCS11Error: what ``call`` raises.
        """
        attempts = 0
        for _ in range(_LOGINS):
            login = self.login()
            try:
                return call(login)
            except LoginOverError:
                # Nothing was done: another thread has lost the token meanwhile.
                pass
            except (PKCS11Error, KeyhierError) as error:
                attempts += 1
                if attempts > 1 or not failed(error):
                    raise
            self.recover(login)
        raise UnavailableError(f"token {self.token.label!r} was lost again and again")

    def recover(self, login: Login | None) -> None:
        """See to it that there is a login that holds, after a call in ``login`` has failed.

        Raises:
            UnavailableError, AuthenticationError, InvalidStateError: as :meth:`login`.
        """
        failures = self._failures
        with self.turn, self._lock:
            present = self._login
            if present is not login and present is not None and present.current:
                return
            if not self._users:
                raise InvalidStateError("the vault is closed")
            if self._failure is not None and self._failures != failures:
                # Another thread has just tried, while this one waited for the lock.
                raise copy.copy(self._failure)
            if present is not None and present.holds():
                # A session alone was lost. What else the token forgot nobody can tell.
                present.handles = {}
                return
            try:
                self._reconnect()
            except KeyhierError as error:
                self._failures += 1
                self._failure = error
                raise

    def require_login(self, login: Login) -> None:
        """Raise if the token has forgotten ``login``, as it does when other code logs out.

        It hides private objects then without an error.

        Raises:
            LoginOverError: the next login is another.
        """
        if not login.logged_in:
            return
        if not login.holds():
            self.recover(login)
        # Another thread may have logged in again since, so that the token said yes just now.
        if self._login is not login:
            raise LoginOverError

    def _reconnect(self) -> None:
        self._end_login()
        with self.reading_pin(self._pin) as secret:
            self._connect(secret)

    def _connect(self, secret: SecretBytes | None) -> None:
        """Log in; where that fails, initialise the module anew and log in."""
        if self.module.process != os.getpid():
            self._start_in_child()
        else:
            era = self.module.era
            try:
                self._open_login(secret)
            except KeyhierError as error:
                if not lost(error) or not self._is_module_dead():
                    raise
            else:
                return
            _restart(self.module, era)
            self.token = self._find_again()
        self._open_login(secret)

    def _start_in_child(self) -> None:
        """Initialise the module and find the token, which may have to be done more than once.

        SoftHSM reads its tokens when it is initialised, and leaves out one that another process,
        such as another child that logs in, writes to at that moment.
        """
        for attempt in range(1, _ATTEMPTS):
            _restart(self.module, self.module.era)
            try:
                self.token = self._find_again()
            except UnavailableError:
                time.sleep(_PAUSE_SECONDS * attempt)
            else:
                return
        _restart(self.module, self.module.era)
        self.token = self._find_again()

    def _is_module_dead(self) -> bool:
        """Whether no other connection of the module works, so that nobody is disturbed."""
        others = [each for each in _connections.of(self.module) if each is not self]
        return not any(other.works for other in others)

    def _find_again(self) -> Token:
        # Its slot may have another number now.
        selection = {
            "token": self.token.label,
            "serial": serial_of(self.token),
            "manufacturer": self.token.manufacturer_id,
            "model": self.token.model,
        }
        address = TokenAddress(Path(self.module.so), selection, self._pin, uri="")
        try:
            return choose_token(self.module, address)
        except NotFoundError as error:
            missing = error
        # Never a NotFoundError, which would say that a key is gone.
        raise UnavailableError(
            f"token {self.token.label!r} is away: the module does not show it",
            native=missing.native,
            remedy="see whether the HSM runs; the next operation connects again",
        )

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

    def _open_login(self, pin: SecretBytes | None) -> None:
        # A token with a keypad of its own asks by itself.
        keypad = TokenFlag.PROTECTED_AUTHENTICATION_PATH in self.token.flags
        if pin is not None and self._refused.holds(pin):
            raise AuthenticationError(
                f"token {self.token.label!r} has refused this PIN before, and it is not tried "
                "again, because an HSM locks after a few tries",
                remedy="correct the PIN at its source",
            )
        with self.module.calls:
            anchor = self._open_anchor(pin, keypad=keypad)
            self._login = Login(
                self.module,
                self.token,
                anchor,
                self._permits,
                self.turn,
                logged_in=keypad or pin is not None,
            )
        if pin is not None and not (self._pin_check and self._pin_check.accepts(pin)):
            self._pin_check = PinCheck.of(pin)
        self._refused.clear()

    def _open_anchor(self, pin: SecretBytes | None, *, keypad: bool) -> Session:
        what = f"token {self.token.label!r}"
        try:
            if keypad:
                return self.token.open(user_pin=PROTECTED_AUTH)
            if pin is not None:
                # What is tried again is no refusal of the PIN, which would count against it.
                return patiently(lambda: self.token.open(user_pin=pin.reveal().decode()))
            return patiently(self.token.open)
        except UserAlreadyLoggedIn as error:
            if self._users and (pin is None or (self._pin_check and self._pin_check.accepts(pin))):
                # The login outlived the session that was lost.
                return patiently(self.token.open)
            raise AuthenticationError(
                f"other code of this process is logged in to {what}, so no PIN can be checked",
                native=native("C_Login", error),
            ) from error
        except PIN_ERRORS as error:
            if pin is not None:
                self._refused.add(pin)
            raise AuthenticationError(
                f"{what} does not accept the PIN",
                native=native("C_Login", error),
                remedy="check it before the next try: an HSM locks after a few",
            ) from error
        except PKCS11Error as error:
            raise translated(error, self._failing(), f"logging in to {what}") from error

    def _failing(self) -> str:
        """Say which call fails of the two that python-pkcs11 makes as one."""
        try:
            self.token.open().close()
        except PKCS11Error:
            return "C_OpenSession"
        return "C_Login"

    def _end_login(self) -> None:
        login, self._login = self._login, None
        if login is not None:
            login.end()


def _restart(module: Module, era: int) -> None:
    """Initialise a dead module anew, unless that was done since ``era``.

    Raises:
        UnavailableError: it does not initialise, or calls of it hang.
    """
    with module.calls.alone(_RESTART_PATIENCE_SECONDS) as alone:
        if module.era != era and module.process == os.getpid():
            return
        if not alone:
            raise UnavailableError(
                "the PKCS#11 module is dead, and cannot be initialised anew while calls of it hang",
                remedy="start the program anew",
            )
        module.restart()


def find_token(module: Module, address: TokenAddress) -> Token:
    """Return the one token that ``address`` names.

    SoftHSM reads its tokens when it is initialised, and leaves out one that another process logs
    in to at that moment. So a module that was initialised just now is so again, a few times.

    Raises:
        NotFoundError, AmbiguousError: as :func:`~keyhier_pkcs11.token.choose_token`.
    """
    attempts = _ATTEMPTS if module.fresh else 1
    module.fresh = False
    for attempt in range(1, attempts):
        try:
            return choose_token(module, address)
        except NotFoundError:
            time.sleep(_PAUSE_SECONDS * attempt)
            _restart(module, module.era)
    return choose_token(module, address)


class _Connections:
    """The connections of this process, by module and token."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Connection] = {}
        self.renew_in_child()
        renewed_in_child(self)

    def renew_in_child(self) -> None:
        self._lock = threading.Lock()

    def to(self, module: Module, token: Token) -> Connection:
        key = (module.so, token.label, serial_of(token), token.manufacturer_id, token.model)
        with self._lock:
            connection = self._known.setdefault(key, Connection(module, token))
            if not connection.in_use:
                connection.token = token
            return connection

    def of(self, module: Module) -> list[Connection]:
        with self._lock:
            return [each for each in self._known.values() if each.module is module]


_connections: Final = _Connections()


def connection_to(module: Module, token: Token) -> Connection:
    """Return the process's one connection to ``token``, connected or not."""
    return _connections.to(module, token)
