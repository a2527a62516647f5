"""JSON as a file has it, with the line and column of every value.

The standard library's fast scanner reads the document and throws the places away. They are found
again for the few values that a report names: a container's members are skipped, not taken apart,
so that this costs little in large files too.

ARM's templates may hold comments and texts over several lines, which JSON (RFC 8259) does not know:
https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from json import JSONDecodeError
from typing import Final, NoReturn

from keyhier.errors import InvalidInputError
from keyhier.placement.json_faults import TEXT, constant_at, member_twice_at, number_at
from keyhier.placement.model import Origin

__all__ = ["MAX_BYTES", "JsonText", "NotJsonError", "below"]

MAX_BYTES: Final = 32 * 1024 * 1024
"""The largest file that is read; ARM takes templates of 4 MB."""

_MAX_DEPTH: Final = 200
_SPACE: Final = re.compile(r"[ \t\n\r]*")
# A comment that never ends is none, and none is looked for within it.
_TOKEN: Final = re.compile(rf"(?P<comment>//[^\n]*|/\*.*?\*/)|{TEXT}|/\*.*", re.DOTALL)
_BRACKET: Final = re.compile(rf"{TEXT}|[\[\]{{}}]", re.DOTALL)
_LAST_COMMA: Final = re.compile(r",\s*[}\]]")


class NotJsonError(InvalidInputError):
    """A file is no JSON.

    Attributes:
        origin: the place where it ends to be.
    """

    def __init__(self, message: str, origin: Origin) -> None:
        super().__init__(message)
        self.origin = origin

    def __reduce__(self) -> tuple[type[NotJsonError], tuple[str, Origin]]:
        return type(self), (self.message, self.origin)


class _MemberTwiceError(InvalidInputError):
    """An object has two members of one name."""


class JsonText:
    """A document and where each of its values stands.

    Attributes:
        file: the path, as it was given.
        value: the document.
    """

    def __init__(self, file: str, content: bytes) -> None:
        """Read a document.

        Raises:
            NotJsonError: it is none, names a member twice, or is too large or nested too deeply.
        """
        self.file = file
        self._members: dict[int, dict[str, int]] = {}
        self._newlines: list[int] | None = None
        if len(content) > MAX_BYTES:
            raise NotJsonError(
                f"the file has more than {MAX_BYTES // 1024**2} MiB, and is not read", Origin(file)
            )
        self._text = self._decoded(content)
        self.value = self._parsed()

    def _decoded(self, content: bytes) -> str:
        try:
            # A byte order mark tells UTF-16, which PowerShell writes.
            return content.decode(json.detect_encoding(content)).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise NotJsonError(f"the file is no {error.encoding} text", Origin(self.file)) from None

    def _parsed(self) -> object:
        try:
            try:
                return self._loaded()
            except JSONDecodeError:
                blank = _TOKEN.sub(_without_comment, self._text)
                if blank == self._text and "\n" not in blank:
                    raise
                self._text = blank
                return self._loaded()
        except JSONDecodeError as error:
            told = "a comma stands before the end" if self._comma_at(error.pos) else error.msg
            raise self._not_json(f"this is no JSON: {told}", error.pos) from None
        except RecursionError:
            raise self._not_json("the document is nested too deeply", self._deepest()) from None
        except _MemberTwiceError as error:
            raise self._not_json(error.message, member_twice_at(self._text)) from None
        except InvalidInputError as error:
            raise self._not_json(error.message, constant_at(self._text)) from None
        except ValueError:
            # Python reads no number of thousands of digits, and needs quadratic time for it.
            told = "the document holds a number of too many digits"
            raise self._not_json(told, number_at(self._text)) from None

    def _loaded(self) -> object:
        # Texts over several lines are ARM's, and harm nobody else.
        return json.loads(
            self._text, strict=False, object_pairs_hook=_object, parse_constant=_no_number
        )

    def _comma_at(self, offset: int) -> bool:
        """Whether what is no JSON there is a comma that nothing follows in an object or list."""
        last = self._text.rfind(",", 0, offset + 1)
        found = _LAST_COMMA.match(self._text, last) if last >= 0 else None
        return found is not None and found.end() > offset

    def _not_json(self, message: str, offset: int) -> NotJsonError:
        return NotJsonError(message, self._origin(offset, ""))

    def _deepest(self) -> int:
        depth = 0
        for found in _BRACKET.finditer(self._text):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
            if depth > _MAX_DEPTH:
                return found.start()
        return 0

    def origin(self, pointer: str) -> Origin:
        """Return the place of the value at a pointer (RFC 6901), or of what would hold it."""
        offset = _skip(self._text, 0)
        for token in pointer.split("/")[1:]:
            members = self._members_at(offset)
            name = token.replace("~1", "/").replace("~0", "~")
            if name not in members:
                break
            offset = members[name]
        return self._origin(offset, pointer)

    def _origin(self, offset: int, pointer: str) -> Origin:
        if self._newlines is None:
            self._newlines = [each.start() for each in re.finditer("\n", self._text)]
        line = bisect_right(self._newlines, offset - 1)
        begin = self._newlines[line - 1] + 1 if line else 0
        return Origin(self.file, line + 1, offset - begin + 1, pointer)

    def _members_at(self, offset: int) -> Mapping[str, int]:
        if offset not in self._members:
            self._members[offset] = dict(_members(self._text, offset))
        return self._members[offset]


def below(pointer: str, *names: str | int) -> str:
    """Return the pointer of what stands below another (RFC 6901)."""
    tokens = (str(name).replace("~", "~0").replace("/", "~1") for name in names)
    return "/".join([pointer, *tokens])


_DECODER: Final = json.JSONDecoder(strict=False)


def _members(text: str, offset: int) -> Iterator[tuple[str, int]]:
    """Yield the name and the offset of each member of a container; none of what is no container."""
    opening = text[offset : offset + 1]
    if opening not in {"{", "["}:
        return
    position, count = _skip(text, offset + 1), 0
    while text[position] not in "}]":
        if opening == "{":
            name, position = _DECODER.raw_decode(text, position)
            position = _skip(text, _skip(text, position) + 1)
        else:
            name, count = str(count), count + 1
        yield name, position
        _, position = _DECODER.raw_decode(text, position)
        position = _skip(text, position)
        if text[position] == ",":
            position = _skip(text, position + 1)


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _without_comment(found: re.Match[str]) -> str:
    return found[0] if found["comment"] is None else re.sub("[^\n]", " ", found[0])


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _MemberTwiceError(f"the member {twice!r:.80} stands twice in one object")
    return members


def _no_number(text: str) -> NoReturn:
    raise InvalidInputError(f"{text} is no number of JSON")
