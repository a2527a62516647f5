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

from pkcs11.exceptions import PKCS11Error, RandomNoRNG, UserPinNotInitialized

from keyhier.errors import (
    AuthenticationError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    UnavailableError,
)
from keyhier.pin import PinSource
from keyhier_pkcs11.address import TokenAddress
from keyhier_pkcs11.authentication import Authentication, has_keypad, reading_pin
from keyhier_pkcs11.errors import lost
from keyhier_pkcs11.fork import renewed_in_child
from keyhier_pkcs11.login import Login, LoginOverError
from keyhier_pkcs11.mechanisms import Abilities
from keyhier_pkcs11.pool import USUAL_SESSIONS, Permits
from keyhier_pkcs11.token import choose_token, serial_of

if TYPE_CHECKING:
    from pkcs11.types import Session, Token

    from keyhier.secret import SecretBytes
    from keyhier_pkcs11.module import Module

__all__ = ["Connection", "connection_to"]

_T = TypeVar("_T")

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
        self._authentication = Authentication()
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

    def join(
        self, user: object, pin: PinSource, secret: SecretBytes | None, max_sessions: int
    ) -> None:
        """Let ``user`` use the connection, logging in where the token wants it.

        Args:
            user: who does; the same is given to :meth:`leave`.
            pin: where the PIN comes from when the token was lost.
            secret: the PIN now, as :func:`~keyhier_pkcs11.authentication.reading_pin` gives it.
            max_sessions: how many sessions there may be; the first user says it.

        Raises:
            AuthenticationError: the PIN is wrong or there is none. It is tried only once.
            UnavailableError: the token cannot be reached.
        """
        with self.turn, self._lock:
            if not self._users:
                self._authentication.forget()
                self._bound = max_sessions
                self._permits = Permits(max_sessions)
                try:
                    self._connect(secret)
                except BaseException:
                    # Also where the caller has given up, and wiped the PIN, after the login.
                    self._end_login()
                    raise
            elif secret is not None:
                self._authentication.check(self.token, secret)
            self._pin = pin
            self._users.add(user)

    def check_pin(self, secret: SecretBytes) -> None:
        """Compare a PIN with the one that is logged in, without asking the token.

        Raises:
            AuthenticationError: it is another.
            InvalidStateError: the token is open without a PIN.
        """
        with self._lock:
            self._authentication.check(self.token, secret)

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
        with reading_pin(self.token, self._pin) as secret:
            self._connect(secret)

    def _connect(self, secret: SecretBytes | None) -> None:
        """Log in; where that fails, initialise the module anew and log in."""
        if self.module.process != os.getpid():
            self._connect_in_child(secret)
            return
        era = self.module.era
        try:
            self._open_login(secret)
        except KeyhierError as error:
            if not lost(error) or not nobody_works_with(self.module, but=self):
                raise
        else:
            return
        self.module.restart_since(era)
        self.token = self._find_again()
        self._open_login(secret)

    def _connect_in_child(self, secret: SecretBytes | None) -> None:
        """Initialise the module, find the token and log in, more than once where it has to be.

        SoftHSM reads its tokens when it is initialised. One that another process writes to at that
        moment, such as another child that logs in, it leaves out, or takes for one whose PIN was
        never set, and does not look again.
        """
        for attempt in range(1, _ATTEMPTS):
            if self._connects_in_child(secret):
                return
            time.sleep(_PAUSE_SECONDS * attempt)
        self.module.restart_since(self.module.era)
        self.token = self._find_again()
        self._open_login(secret)

    def _connects_in_child(self, secret: SecretBytes | None) -> bool:
        self.module.restart_since(self.module.era)
        try:
            self.token = self._find_again()
        except UnavailableError:
            return False
        try:
            self._open_login(secret)
        except AuthenticationError as error:
            # No PIN was compared, so that no attempt is lost.
            if not isinstance(error.__cause__, UserPinNotInitialized):
                raise
            return False
        return True

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

    def _open_login(self, pin: SecretBytes | None) -> None:
        self._authentication.require_untried(self.token, pin)
        logged_in = pin is not None or has_keypad(self.token)
        with self.module.calls:
            anchor = self._authentication.open_anchor(self.token, pin, again=self.in_use)
            self._login = Login(
                self.module, self.token, anchor, self._permits, self.turn, logged_in=logged_in
            )
        self._authentication.accept(pin)

    def _end_login(self) -> None:
        login, self._login = self._login, None
        if login is not None:
            login.end()


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


def nobody_works_with(module: Module, *, but: Connection | None = None) -> bool:
    """Whether no connection of the module works, so that initialising it anew disturbs none."""
    return not any(each.works for each in _connections.of(module) if each is not but)
