"""One login: its anchor session, the worker sessions beside it, and the handles it has found.

A login belongs to the token and the process, not to a session (PKCS#11 v3.1, section 5.6.9): a
second login is refused, and so is a *wrong* PIN while logged in; closing the session that logged
in logs every other out. So an anchor session logs in first and is closed last, and the others,
the workers, are opened without a PIN.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Final

from pkcs11.attributes import AttributeMapper, handle_ulong
from pkcs11.constants import Attribute, ObjectClass, TokenFlag
from pkcs11.exceptions import PKCS11Error

from keyhier.errors import KeyhierError
from keyhier_pkcs11.errors import ambiguous, clearly_lost, lost, translated
from keyhier_pkcs11.token import patiently

if TYPE_CHECKING:
    from types import TracebackType

    from pkcs11.types import Session, Token

    from keyhier_pkcs11.module import Module
    from keyhier_pkcs11.pool import Permits

__all__ = ["Login", "LoginOverError"]


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
_PRIVATE_OBJECT: Final = {
    Attribute.CLASS: ObjectClass.DATA,
    Attribute.TOKEN: False,
    Attribute.PRIVATE: True,
    Attribute.VALUE: b"keyhier",
}


class LoginOverError(Exception):
    """The module was initialised again since the login; nothing of it may be used any more."""


class Login:
    """One login to a token, or a connection without one where the token wants none.

    Attributes:
        token: the token, as the module showed it at the time.
        logged_in: whether there is a login, so that private objects can be seen and made.
        handles: object handles by (class, CKA_ID). They are good in this login only: a number
            may name another object in the next.
    """

    def __init__(  # noqa: PLR0913  # What a connection has, its logins have too.
        self,
        module: Module,
        token: Token,
        anchor: Session,
        permits: Permits,
        turn: AbstractContextManager[object],
        *,
        logged_in: bool,
    ) -> None:
        self.token = token
        self.logged_in = logged_in
        self.handles: dict[tuple[int, bytes], int] = {}
        self._module = module
        self._era = module.era
        self._anchor = anchor
        self._permits = permits
        self._turn = turn
        self._takes_turns = not isinstance(turn, nullcontext)
        self._idle: list[Session] = []
        self._ended = False

    @property
    def current(self) -> bool:
        """Whether the module and the process are still those of the login."""
        return self._era == self._module.era and self._module.process == os.getpid()

    def session(self, *, keep: bool = True) -> AbstractContextManager[Session]:
        """Lend a session for one operation; the answer is a context manager.

        A session in which anything failed is closed, not used again: some modules leave an
        operation active behind a failure. Its session objects are destroyed with it.

        Args:
            keep: whether it may be used again after a success.

        Entering raises:
            LoginOverError: look for the login that followed.
            UnavailableError: no session came free in time, or none can be opened.
        """
        loan = Loan(self, keep=keep)
        return _in_turn(self._turn, loan) if self._takes_turns else loan

    @contextmanager
    def kept_session(self) -> Iterator[Session]:
        """Lend a session for long: it counts against the bound, and is no call in flight.

        Raises:
            LoginOverError, UnavailableError: as :meth:`session`.
        """
        self._permits.take_to_keep()
        try:
            with self._module.calls:
                if self._ended or not self.current:
                    raise LoginOverError
                session = self._open_worker()
            try:
                yield session
            finally:
                # The turn of a parent process may be taken for good.
                if self.current:
                    with self._turn, self._module.calls:
                        if self.current:
                            _close(session)
        finally:
            self._permits.give_back_kept()

    def borrow(self) -> Session:
        """Return a session that is not in use; see :meth:`session`."""
        self._permits.take()
        self._module.calls.__enter__()
        try:
            return self._session()
        except BaseException:
            self._module.calls.__exit__(None, None, None)
            self._permits.give_back()
            raise

    def give_back(self, session: Session, *, sound: bool) -> None:
        """Take back what was borrowed; see :meth:`session`."""
        try:
            if not sound:
                _close(session)
                return
            self._idle.append(session)
            if self._ended:
                self._close_idle()
        finally:
            self._module.calls.__exit__(None, None, None)
            self._permits.give_back()

    def holds(self) -> bool:
        """Whether a session opens and is logged in, asked of the token itself."""
        with self._turn, self._module.calls:
            if not self.current:
                return False
            try:
                session = self._open_worker()
            except KeyhierError:
                return False
            try:
                return not self.logged_in or _is_logged_in(session)
            finally:
                _close(session)

    def end(self) -> None:
        """Close all sessions and log out, unless they are another process's or gone already."""
        self._ended = True
        if not self.current:
            return
        with self._turn, self._module.calls:
            if self.current:
                self._close_idle()
                _close(self._anchor)

    def _session(self) -> Session:
        if self._ended or not self.current:
            raise LoginOverError
        try:
            return self._idle.pop()
        except IndexError:
            return self._open_worker()

    def _close_idle(self) -> None:
        # Two threads may do so at once, and each takes what the other leaves.
        with suppress(IndexError):
            while True:
                _close(self._idle.pop())

    def _open_worker(self) -> Session:
        writable = TokenFlag.WRITE_PROTECTED not in self.token.flags
        try:
            return patiently(lambda: self.token.open(rw=writable, attribute_mapper=_MAPPER))
        except PKCS11Error as error:
            what = f"opening a session with token {self.token.label!r}"
            raise translated(error, "C_OpenSession", what) from error


class Loan:
    """A session that is lent while a block runs."""

    __slots__ = ("_keep", "_login", "_session")

    def __init__(self, login: Login, *, keep: bool) -> None:
        self._login = login
        self._keep = keep

    def __enter__(self) -> Session:
        self._session = self._login.borrow()
        return self._session

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._login.give_back(self._session, sound=self._keep and kind is None)


@contextmanager
def _in_turn(turn: AbstractContextManager[object], loan: Loan) -> Iterator[Session]:
    with turn, loan as session:
        yield session


def _is_logged_in(session: Session) -> bool:
    """Try whether a private object can be made, which only a login allows (section 4.4).

    It goes with its session, which is closed afterwards.
    """
    try:
        session.create_object(_PRIVATE_OBJECT)
    except PKCS11Error as error:
        if clearly_lost(error):
            return False
        if not ambiguous(error):
            # The token takes no such object, which says that it is there.
            return True
    else:
        return True
    try:
        session.generate_random(8)
    except PKCS11Error as error:
        return not lost(error)
    return True


def _close(session: Session) -> None:
    # A session that the token has lost is closed already.
    with suppress(PKCS11Error):
        session.close()
