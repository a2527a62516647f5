"""Listings, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final
from urllib.parse import quote

from keyhier import base64url
from keyhier.errors import InvalidInputError
from keyhier.testing.keyvault.messages import Answer, Document, Request
from keyhier.testing.keyvault.service_error import bad_parameter

__all__ = ["page"]

_MOST: Final = 25
_TOKEN: Final = "$skiptoken"  # noqa: S105  # A parameter's name.


def page(request: Request, rows: Iterable[tuple[str, Document]]) -> Answer:
    """Answer with the page that the request asks for, and where the next one is.

    Args:
        request: its ``maxresults`` is 25 at most, and its ``$skiptoken`` is from a ``nextLink``.
        rows: what to list, each with a marker that it is sorted by. A page begins after a marker
            and not at a number: what is deleted between two pages hides nothing else.

    Raises:
        ServiceError: a parameter is not one that the service takes.
    """
    most = _most(request)
    after = _after(request)
    found = list(islice((row for row in rows if row[0] > after), most + 1))
    shown = found[:most]
    link = _link(request, shown[-1][0]) if len(found) > most else None
    return Answer(document={"value": [row for _, row in shown], "nextLink": link})


def _most(request: Request) -> int:
    given = request.query.get("maxresults", str(_MOST))
    if not given.isdecimal() or not 1 <= int(given) <= _MOST:
        raise bad_parameter(f"Invalid value of maxresults: {given}. It is 1 to {_MOST}.")
    return int(given)


def _after(request: Request) -> str:
    try:
        return base64url.decode(request.query.get(_TOKEN, "")).decode()
    except (InvalidInputError, UnicodeDecodeError):
        pass
    raise bad_parameter(f"The parameter {_TOKEN} is not one that the service gave.")


def _link(request: Request, marker: str) -> str:
    parameters = f"api-version={quote(request.api_version)}"
    if "maxresults" in request.query:
        parameters += f"&maxresults={request.query['maxresults']}"
    token = base64url.encode(marker.encode())
    return f"{request.base}{request.path}?{parameters}&{_TOKEN}={token}"
