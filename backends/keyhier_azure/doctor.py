"""The examination of a vault: can it be reached, what is allowed there, and which keys need care.

Rights are tried on a key that there is none of: the service looks at who asks before it looks for
the key, so that 404 says yes and 403 says no, and no key is used.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from keyhier.base64url import encode
from keyhier.doctor import Finding, Severity, guarded
from keyhier.errors import AccessDeniedError, IntegrityError, NotFoundError
from keyhier_azure.connection import Answer, Calls, Request
from keyhier_azure.rights import Right

if TYPE_CHECKING:
    from keyhier_azure.address import VaultAddress

__all__ = ["examine"]

_FORBIDDEN: Final = 403
_SKEW_SECONDS: Final = 60.0
_SOON: Final = timedelta(days=30).total_seconds()

_CLOCK_REMEDY: Final = "set this machine's clock; tokens are judged by it"


def examine(
    address: VaultAddress, begin: Callable[[], Calls], *, has_secrets: bool
) -> Iterator[Finding]:
    """Yield what is found; see :meth:`keyhier.driver.SupportsDoctor.examine`.

    Args:
        address: the vault.
        begin: begins an operation.
        has_secrets: whether it is a vault that holds secrets, too.
    """
    answers: list[Answer] = []
    yield from guarded("reach", lambda: _reach(address, begin(), answers))
    if not answers:
        # The rest would say the same once more.
        return
    yield from guarded("region", lambda: _region(answers[0]))
    yield from guarded("clock", lambda: _clock(answers[0]))
    yield from guarded("rights", lambda: _rights(begin, has_secrets=has_secrets))
    yield from guarded("keys", lambda: _keys(begin()))


def _reach(address: VaultAddress, calls: Calls, answers: list[Answer]) -> Iterator[Finding]:
    answer = calls.send(Request("GET", "/keys?maxresults=1", Right.LIST_KEYS))
    if answer.status != _FORBIDDEN:
        answer.content()
    answers.append(answer)
    found = f"{address.host} answers, its certificate is good, and it takes the credential's token"
    yield Finding("reach", Severity.OK, found)


def _region(answer: Answer) -> Iterator[Finding]:
    region = answer.headers.get("x-ms-keyvault-region", "")
    if region.isalnum() and region.isascii():
        yield Finding("region", Severity.OK, f"the vault is in {region:.40}")
    else:
        found, remedy = "the vault does not say where it is", "say it in keyhier.toml (placement)"
        yield Finding("region", Severity.NOTE, found, remedy)


def _clock(answer: Answer) -> Iterator[Finding]:
    try:
        there = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        found = "the vault does not say what time it is there"
        yield Finding("clock", Severity.NOTE, found, "see to this machine's clock by other means")
        return
    skew = time.time() - there
    if abs(skew) <= _SKEW_SECONDS:
        yield Finding("clock", Severity.OK, "this machine's clock agrees with the vault's")
        return
    found = f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} it"
    yield Finding("clock", Severity.WARNING, found, _CLOCK_REMEDY)


def _rights(begin: Callable[[], Calls], *, has_secrets: bool) -> Iterator[Finding]:
    nobody = f"/keys/keyhier-doctor-{secrets.token_hex(8)}"
    body = {"alg": "RSA-OAEP-256", "value": encode(bytes(32))}
    requests = [
        Request("GET", "/keys?maxresults=1", Right.LIST_KEYS),
        Request("GET", nobody, Right.GET_KEY),
        Request("POST", f"{nobody}/wrapkey", Right.WRAP, body),
        Request("POST", f"{nobody}/unwrapkey", Right.UNWRAP, body),
    ]
    if has_secrets:
        requests.append(Request("GET", "/secrets?maxresults=1", Right.LIST_SECRETS))
    for request in requests:
        right = request.right
        check = f"rights.{right.objects}.{right.permission}"
        try:
            begin().send(request).content()
        except NotFoundError:
            # There is no such key, and this was allowed to ask.
            pass
        except AccessDeniedError as error:
            found = f"{right} is missing, or there for single objects only"
            yield Finding(check, Severity.NOTE, found, error.remedy, error.native)
            continue
        yield Finding(check, Severity.OK, f"{right} is there")


def _keys(calls: Calls) -> Iterator[Finding]:
    listed = list(calls.pages("/keys", Right.LIST_KEYS))
    try:
        attributes = [key["attributes"] for key in listed]
        states = Counter(_state(each) for each in attributes)
        names = [key["kid"].split("/")[4] for key in listed if _state(key["attributes"]) == "soon"]
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise IntegrityError("the vault's list of keys cannot be read") from error
    found = f"{len(listed)} keys, {states['disabled']} of them disabled"
    yield Finding("keys", Severity.OK, found)
    if states["expired"]:
        found = f"{states['expired']} keys have expired: they unwrap, and wrap nothing more"
        yield Finding("keys.expired", Severity.WARNING, found, "rotate them")
    if names:
        found = f"within 30 days will expire: {', '.join(sorted(names)[:10])}"
        yield Finding("keys.expiring", Severity.WARNING, found, "rotate them before that")
    yield from _deletion({str(each.get("recoveryLevel", "")) for each in attributes})


def _state(attributes: Mapping[str, Any]) -> str:
    expires = attributes.get("exp")
    left = None if expires is None else expires - time.time()
    if left is not None and left <= 0:
        return "expired"
    if not attributes.get("enabled", True):
        return "disabled"
    return "valid" if left is None or left > _SOON else "soon"


def _deletion(levels: set[str]) -> Iterator[Finding]:
    check = "keys.deletion"
    if not levels - {""}:
        found = "that cannot be seen as long as there is no key"
        told = f"soft delete and purge protection: {found}"
        yield Finding(check, Severity.NOTE, told, "examine it again when there is one")
    elif not all(level.startswith(("Recoverable", "CustomizedRecoverable")) for level in levels):
        found = "what is deleted is gone at once"
        yield Finding(check, Severity.WARNING, found, "turn the vault's soft delete on")
    elif any("Purgeable" in level for level in levels):
        found = "what is deleted can be recovered, and can be purged before its time"
        remedy = "turn purge protection on, which disk encryption sets demand"
        yield Finding(check, Severity.NOTE, found, remedy)
    else:
        yield Finding(check, Severity.OK, "what is deleted can be recovered and not be purged")
