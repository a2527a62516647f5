"""Recordings of the service, in the three forms that they were kept in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import attrs

# What travels, and says nothing of the service.
_VOLATILE: Final = frozenset(
    {
        "content-length",
        "date",
        "x-ms-build-version",
        "x-ms-client-request-id",
        "x-ms-request-id",
        "x-powered-by",
    }
)
# Each has its value for the one vault that was recorded.
_OWN: Final = frozenset(
    {
        "x-ms-keyvault-region",
        "x-ms-keyvault-service-version",
        "x-ms-keyvault-network-info",
        "x-ms-server-latency",
        "www-authenticate",
    }
)


@attrs.frozen
class Recorded:
    """One request, as far as it was kept, and its answer."""

    method: str
    url: str
    status: int
    headers: Mapping[str, str]
    document: Any
    request: Any

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query))

    @property
    def of_hsm(self) -> bool:
        return "managedhsm" in self.url

    @property
    def fixed_headers(self) -> dict[str, str]:
        """Headers that every vault answers with alike."""
        return {n: t for n, t in self.headers.items() if n not in _VOLATILE | _OWN}

    @property
    def own_headers(self) -> set[str]:
        """Headers that every vault answers with, each in its own way."""
        return set(self.headers) & _OWN


def read(path: Path) -> Iterator[Recorded]:
    """Yield what a file has, in its order."""
    document = json.loads(path.read_text(encoding="utf-8"))
    if "networkCallRecords" in document:
        for each in document["networkCallRecords"]:
            answer = dict(each["Response"])
            body, status = answer.pop("BODY", ""), int(answer.pop("STATUS_CODE"))
            answer.pop("REASON_PHRASE", None)
            yield _recorded(each["Method"], each["Url"], status, answer, body, None)
    elif "Entries" in document:
        for each in document["Entries"]:
            yield _recorded(
                each["RequestMethod"],
                each["RequestUri"],
                each["StatusCode"],
                each["ResponseHeaders"],
                json.dumps(each["ResponseBody"]),
                each["RequestBody"],
            )
    else:
        for each in document["interactions"]:
            asked, answer = each["request"], each["response"]
            body = json.loads(asked["body"]) if asked["body"] else None
            yield _recorded(
                asked["method"],
                asked["uri"],
                answer["status"],
                answer["headers"],
                answer["body"],
                body,
            )


def shape(document: object, path: str = "") -> set[str]:
    """Return the places of a document, each with its type; the rows of a list are one place."""
    if isinstance(document, dict):
        return {found for name, each in document.items() for found in shape(each, f"{path}.{name}")}
    if isinstance(document, list):
        return {found for each in document for found in shape(each, f"{path}[]")} or {f"{path}[]"}
    return {f"{path}: {type(document).__name__}"}


def masked(message: str) -> str:
    """Return a message without the one version that it may name."""
    return re.sub(r"/[0-9a-f]{32}", "/VERSION", message)


def _recorded(
    method: str, url: str, status: int, headers: Mapping[str, str], body: str, request: object
) -> Recorded:
    lowered = {name.lower(): text for name, text in headers.items()}
    return Recorded(method, url, status, lowered, json.loads(body) if body else None, request)
