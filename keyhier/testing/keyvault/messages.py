"""One request and one answer, apart from how they travel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.message import Message
from typing import Any

import attrs

from keyhier import base64url
from keyhier.errors import InvalidInputError
from keyhier.testing.keyvault.service_error import bad_parameter

__all__ = ["Answer", "Document", "Request", "bytes_of", "object_of", "text_of"]

Document = dict[str, Any]
"""A JSON object."""


@attrs.frozen
class Request:
    """What a client sent.

    Attributes:
        method: of HTTP, in upper case.
        path: without the query, percent-decoded.
        query: the parameters, the last of each name.
        headers: names in any case.
        body: its bytes.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes = attrs.field(default=b"", repr=False)

    @property
    def base(self) -> str:
        """The vault's URL as this client writes it, of which ids are made."""
        return f"https://{self.headers.get('Host', '')}"

    @property
    def api_version(self) -> str:
        """What the query asks for, or nothing."""
        return self.query.get("api-version", "")

    def document(self) -> Document:
        """Return the body as JSON; an empty one is an empty object.

        Raises:
            ServiceError: it is no JSON object.
        """
        if not self.body:
            return {}
        try:
            document = json.loads(self.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise bad_parameter("The request body is not a valid JSON object.")
        return document


@attrs.frozen
class Answer:
    """What a client gets.

    Attributes:
        status: of HTTP.
        document: the JSON of the body, or None for an empty one.
        headers: besides those that every answer has; they replace those.
    """

    status: int = 200
    document: object | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)


def text_of(data: bytes) -> str:
    """Write bytes as the service does: base64url without padding."""
    return base64url.encode(data)


def object_of(document: Document, name: str) -> Document:
    """Read a member that holds an object; a missing one is empty.

    Raises:
        ServiceError: it is no object.
    """
    given = document.get(name)
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise bad_parameter(f"The parameter {name} is not an object.")
    return given


def bytes_of(document: Document, name: str, *, default: bytes | None = None) -> bytes:
    """Read a member that holds bytes.

    Raises:
        ServiceError: it is missing and has no default, or is not base64url.
    """
    text = document.get(name)
    if text is None and default is not None:
        return default
    if not isinstance(text, str):
        raise bad_parameter(f"The required parameter {name} is missing.")
    try:
        return base64url.decode(text.rstrip("="))
    except InvalidInputError:
        raise bad_parameter(f"The parameter {name} is not valid base64url.") from None
