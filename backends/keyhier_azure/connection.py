"""The way to a vault: one request at a time, with what a request may need.

What the service is asked is written here, and does not go through the SDK's clients: their own
symmetric wraps are made with a random key, they do not wait for a 429 without a Retry-After, and
to load them takes longer than all the rest of a program that unwraps one key.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import attrs
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from keyhier.base64url import decode
from keyhier.errors import (
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    ThrottledError,
    UnavailableError,
)
from keyhier_azure.address import VaultAddress
from keyhier_azure.budget import OTHER, Budget
from keyhier_azure.challenge import Tokens
from keyhier_azure.errors import Failure, refused, retry_after, unanswered, unverified
from keyhier_azure.rights import Right
from keyhier_azure.transport import Reply, Transport

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

__all__ = ["Answer", "Calls", "Connection", "Request"]

_API_VERSION: Final = "7.6"

_REDIRECTED: Final = 300
_UNAUTHORIZED: Final = 401
_THROTTLED: Final = 429
_FAILED: Final = (408, 500, 502, 503, 504)

THROTTLE_DELAYS: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""How many seconds to wait after each 429 in turn, as the service's documentation asks.

https://learn.microsoft.com/azure/key-vault/general/overview-throttling
"""

FAILURE_DELAYS: Final = (0.2, 0.8)
"""How many seconds to wait after each failure of the service or the network in turn."""

_MAX_PAGES: Final = 100_000
"""So many pages of 25 are more than any vault holds."""

_CHALLENGES: Final = 2
"""How many challenges are answered in a row: for a token, and for one with more claims."""

_HEADERS: Final = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": "keyhier",
}

_PATIENCE_SECONDS: Final = 120.0
"""How long a wait the vault may ask for; a longer one is its caller's to decide."""

_JITTER: Final = 0.25
_CONNECT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 60.0


@attrs.frozen
class Request:
    """What to ask of the vault.

    Attributes:
        method: the HTTP method.
        path: the path with its query, below the vault's URL.
        right: what it needs.
        body: what is sent as JSON, or None.
        cost: its part of the vault's limit.
        repeatable: whether doing it twice is no different from doing it once.
    """

    method: str
    path: str
    right: Right
    body: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    cost: float = OTHER
    repeatable: bool = True

    def __str__(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]}"

    def target(self, api_version: str) -> str:
        """Return the path with its query, which names the version of the service's API."""
        if "api-version=" in self.path:
            return self.path
        return f"{self.path}{'&' if '?' in self.path else '?'}api-version={api_version}"


@attrs.frozen
class Answer:
    """What the vault said, whatever that was."""

    request: Request
    status: int
    body: Any = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)

    def content(self) -> Mapping[str, Any]:
        """Return the body of a success.

        Raises:
            KeyhierError: it was none.
        """
        if self.status >= _REDIRECTED:
            raise self.error()
        return self.body if isinstance(self.body, Mapping) else {}

    def value(self) -> bytes:
        """Return the bytes that a success holds.

        Raises:
            KeyhierError: it was none.
            IntegrityError: there are none in it.
        """
        try:
            return decode(self.content()["value"])
        except (KeyError, TypeError, InvalidInputError) as error:
            raise IntegrityError(f"the vault's answer to {self.request} cannot be read") from error

    def error(self) -> KeyhierError:
        """Return what a failure means."""
        return refused(str(self.request), self.status, self.body, self.headers, self.request.right)


@attrs.define
class _Shared:
    """What everybody in one process who has the same vault open shares."""

    making: threading.Lock = attrs.field(factory=threading.Lock)
    _budgets: dict[float, Budget] = attrs.field(factory=dict)

    def budget(self, share: float | None) -> Budget | None:
        """Return the budget of all who use the same share of the limits, or None for none."""
        return None if share is None else self._budgets.setdefault(share, Budget(share))


_SHARED: Final[dict[tuple[int, str], _Shared]] = {}


class _Process:
    """What belongs to one process and must not be taken over by a forked child."""

    def __init__(self, address: VaultAddress, credential: TokenCredential) -> None:
        self.pid = os.getpid()
        # Without a lock, which another thread might hold while this process forks.
        self.shared = _SHARED.setdefault((self.pid, address.host), _Shared())
        self.budget = self.shared.budget(address.share)
        self._api_version = address.api_version or _API_VERSION
        self._tokens = Tokens(credential, address.host)
        self._transport = Transport(address)

    def exchange(self, request: Request, timeout: Timeout) -> Reply:
        """Send a request once, and once more for each of the challenges that there may be.

        Raises:
            urllib3.exceptions.HTTPError, OSError: there was no answer.
            AuthenticationError: no token could be had, or the challenge is not to be trusted.
        """
        authorization = self._tokens.authorization()
        response = self._send(request, authorization, timeout)
        for _ in range(_CHALLENGES):
            challenge = response.headers.get("WWW-Authenticate")
            if response.status != _UNAUTHORIZED or not challenge:
                break
            response = self._send(request, self._tokens.answer(challenge), timeout)
        return response

    def _send(self, request: Request, authorization: str | None, timeout: Timeout) -> Reply:
        headers = dict(_HEADERS)
        body = None
        if authorization is not None:
            headers["Authorization"] = authorization
            body = None if request.body is None else json.dumps(dict(request.body)).encode()
        # What is to be kept from others is not sent before the vault has said who may see it.
        return self._transport.send(
            request.method, request.target(self._api_version), headers, body, timeout
        )

    def close(self) -> None:
        """Let the connections go."""
        self._transport.close()


class Connection:
    """A vault's clients, in this process and in every child that is forked from it."""

    def __init__(self, address: VaultAddress, credential: Callable[[], TokenCredential]) -> None:
        """Remember how to connect; nothing is sent.

        Args:
            address: the vault.
            credential: makes or returns the credential, once in each process.
        """
        self.address = address
        self._credential = credential
        self._closed = False
        self._process = _Process(address, credential())

    @property
    def here(self) -> _Process:
        """What this process has, made anew after a fork.

        Raises:
            InvalidStateError: the vault was closed.
        """
        if self._closed:
            raise InvalidStateError("the vault is closed")
        process = self._process
        if process.pid != os.getpid():
            # Two threads may both do so; the one that is too late leaves nothing behind.
            self._process = process = _Process(self.address, self._credential())
        return process

    def close(self) -> None:
        """Let the connections go; doing so twice is harmless."""
        self._closed = True
        if self._process.pid == os.getpid():
            self._process.close()


class Calls:
    """The requests of one operation, which may take so much time and no more."""

    def __init__(self, connection: Connection, seconds: float | None) -> None:
        self._connection = connection
        self._until = None if seconds is None else time.monotonic() + seconds

    def get(self, path: str, right: Right) -> Mapping[str, Any]:
        """Read something.

        Raises:
            KeyhierError: as :meth:`Answer.content` and :meth:`send`.
        """
        return self.send(Request("GET", path, right)).content()

    def pages(self, path: str, right: Right) -> Iterator[Mapping[str, Any]]:
        """Yield the items of a list, page by page.

        Raises:
            KeyhierError: as :meth:`get`.
        """
        following: str | None = path
        seen: set[str] = set()
        while following:
            if following in seen or len(seen) == _MAX_PAGES:
                raise IntegrityError(f"the vault's list at {path} does not end")
            seen.add(following)
            page = self.get(following, right)
            items = page.get("value") or []
            if not isinstance(items, list) or not all(isinstance(each, Mapping) for each in items):
                raise IntegrityError(f"the vault's list at {path} cannot be read")
            yield from items
            following = self._below(page.get("nextLink"))

    def _below(self, link: object) -> str | None:
        """Return what of a link is below the vault's URL; no other host is asked (promise 4)."""
        if not link:
            return None
        if not isinstance(link, str):
            raise IntegrityError("the vault's list goes on at no address")
        path = self._connection.address.path_of(link)
        if path is None:
            raise UnavailableError("the vault's list goes on at another host")
        return path

    def send(self, request: Request) -> Answer:
        """Send a request, as often as it takes, and return what the vault answers.

        Raises:
            ThrottledError: the vault asked to slow down, again and again, or there is not the time
                to wait for the budget.
            UnavailableError: there was no answer.
            AuthenticationError: no token could be had, or the challenge is not to be trusted.
            InvalidStateError: the vault was closed.
        """
        throttled, failed = iter(THROTTLE_DELAYS), iter(FAILURE_DELAYS)
        while True:
            process = self._connection.here
            self._require_time()
            self._await_budget(process.budget, request)
            error: Failure | None = None
            answer: Answer | None = None
            try:
                answer = _answer(request, process.exchange(request, self._timeout()))
            except (HTTPError, OSError) as raised:
                error = raised
            if answer is not None and answer.status == _THROTTLED:
                delay = self._backoff(next(throttled, None), retry_after(answer.headers))
                if delay is not None and process.budget is not None:
                    process.budget.pause(delay)
            elif _may_pass(request, answer, error):
                delay = self._backoff(next(failed, None))
            else:
                delay = None
            if delay is not None:
                time.sleep(delay)
            elif answer is not None:
                return answer
            elif error is not None:
                # A vault that another thread has closed meanwhile is no failure of the network.
                _ = self._connection.here
                raise unanswered(str(request), error) from error

    def _timeout(self) -> Timeout:
        left = self._require_time()
        return Timeout(
            connect=min(_CONNECT_SECONDS, left or _CONNECT_SECONDS), read=left or _READ_SECONDS
        )

    def _require_time(self) -> float | None:
        left = self._left()
        if left is not None and left <= 0:
            raise UnavailableError("there is no time left for the vault to answer")
        return left

    def _left(self) -> float | None:
        return None if self._until is None else self._until - time.monotonic()

    def _await_budget(self, budget: Budget | None, request: Request) -> None:
        if budget is None:
            return
        left = self._left()
        delay = budget.reserve(request.cost, float("inf") if left is None else left)
        if delay is None:
            raise ThrottledError(
                "there is not the time to wait until the vault's limits allow the request",
                remedy="spread the work, or give it more time",
            )
        if delay:
            time.sleep(delay)

    def _backoff(self, usual: float | None, asked: float | None = None) -> float | None:
        """Return how long to wait before the next attempt, or None where this was the last."""
        if usual is None or (asked or 0.0) > _PATIENCE_SECONDS:
            return None
        # Not for secrecy: clients that were refused together shall not come back together.
        delay = max(usual * (1 + random.random() * _JITTER), asked or 0.0)  # noqa: S311
        left = self._left()
        return delay if left is None or delay < left else None

    def pause(self, seconds: float) -> bool:
        """Wait for something that the vault does by itself; False where there is not the time."""
        left = self._left()
        if left is not None and left <= seconds:
            return False
        time.sleep(seconds)
        return True


def _may_pass(request: Request, answer: Answer | None, error: Failure | None) -> bool:
    """Whether the same request may go well in a moment, and does no harm if it is repeated."""
    if not request.repeatable:
        return False
    if answer is not None:
        return answer.status in _FAILED
    # A certificate does not become another one.
    return error is not None and not unverified(error)


def _answer(request: Request, reply: Reply) -> Answer:
    body = None
    # A proxy's page, say, tells no more than its status.
    with suppress(ValueError, RecursionError):
        body = json.loads(reply.content)
    return Answer(request, reply.status, body, reply.headers)
