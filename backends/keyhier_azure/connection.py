"""The way to a vault: the SDK's pipeline, one request at a time, with what a request may need.

The SDK's clients are used for what is hard to get right: TLS, the bearer challenge and its
verification, tokens. What is sent through their pipeline is written here, so that every wrap goes
to the service (the SDK's own makes symmetric wraps with a random key), one error handling is for
all, and a 429 without a Retry-After is waited for as well.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import attrs
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse
from azure.keyvault.keys import KeyClient

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
from keyhier_azure.errors import Failure, refused, retry_after, unanswered, unverified
from keyhier_azure.rights import Right
from keyhier_azure.session import LeanSession, verification_and_proxies

if TYPE_CHECKING:
    from azure.keyvault.secrets import SecretClient

__all__ = ["Answer", "Calls", "Connection", "Request"]

_REDIRECTED: Final = 300
_THROTTLED: Final = 429
_FAILED: Final = (408, 500, 502, 503, 504)

THROTTLE_DELAYS: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""How many seconds to wait after each 429 in turn, as the service's documentation asks.

https://learn.microsoft.com/azure/key-vault/general/overview-throttling
"""

FAILURE_DELAYS: Final = (0.2, 0.8)
"""How many seconds to wait after each failure of the service or the network in turn."""

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
        self._address = address
        self._credential = credential
        self._options = _options(address)
        self._keys = KeyClient(address.url, credential, **self._options)
        self._secrets: SecretClient | None = None

    def client(self, request: Request) -> KeyClient | SecretClient:
        """Return the client for a request, by what it is about."""
        if request.right.objects != "secrets":
            return self._keys
        if self._secrets is None:
            # Loaded and made at the first use, for most who open a vault want its keys.
            from azure.keyvault.secrets import SecretClient  # noqa: PLC0415

            self._secrets = SecretClient(self._address.url, self._credential, **self._options)
        return self._secrets

    def close(self) -> None:
        """Close what both clients send through."""
        self._keys.close()


def _options(address: VaultAddress) -> dict[str, Any]:
    """Return what both clients are made with, the connections included."""
    verify, proxies = verification_and_proxies(address)
    version = {} if address.api_version is None else {"api_version": address.api_version}
    return version | {
        "transport": RequestsTransport(
            session=LeanSession(), use_env_settings=False, connection_verify=verify
        ),
        "proxies": proxies,
        # What is tried again, and when, is decided here. No redirection is followed, and no body
        # is ever logged.
        "retry_policy": SansIOHTTPPolicy(),
        "redirect_policy": SansIOHTTPPolicy(),
        "logging_policy": SansIOHTTPPolicy(),
    }


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
        while following:
            page = self.get(following, right)
            yield from page.get("value") or ()
            following = self._below(page.get("nextLink"))

    def _below(self, link: str | None) -> str | None:
        """Return what of a link is below the vault's URL; no other host is asked (promise 4)."""
        if not link:
            return None
        base = f"{self._connection.address.url}/"
        if not link.lower().startswith(base):
            raise UnavailableError("the vault's list goes on at another host")
        return link[len(base) - 1 :]

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
                answer = _answer(request, self._exchange(process.client(request), request))
            except (AzureError, OSError, ValueError) as raised:
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

    def _exchange(self, client: KeyClient | SecretClient, request: Request) -> HttpResponse:
        left = self._require_time()
        content = None if request.body is None else dict(request.body)
        return client.send_request(
            HttpRequest(request.method, request.path, json=content),
            connection_timeout=min(_CONNECT_SECONDS, left or _CONNECT_SECONDS),
            read_timeout=left or _READ_SECONDS,
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
        if usual is None:
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
    # Neither a credential nor a certificate becomes another one.
    final = isinstance(error, ClientAuthenticationError)
    return isinstance(error, AzureError) and not final and not unverified(error)


def _answer(request: Request, response: HttpResponse) -> Answer:
    body = None
    if response.content:
        # A proxy's page, say, tells no more than its status.
        with suppress(ValueError):
            body = response.json()
    return Answer(request, response.status_code, body, response.headers)
