"""The lines of an audit log, each of which holds the hash of the one before: written and verified.

A line is a JSON object whose last member is ``hash``: the SHA-256 of the line without that member.
``chain`` and ``number`` say whose line it is and which, ``previous`` is the hash of the chain's own
line before, and ``after`` that of the line before in the file, of whichever chain; it is null where
the file was empty.

So a line that was changed, taken out or moved is found, and so is a chain that was shortened or
taken out while others went on. Whoever may write the file can hash all of it anew, or cut off its
end: only heads that are kept elsewhere show that.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from keyhier.audit import INTENT
from keyhier.errors import InvalidInputError

__all__ = ["MAX_LINE_BYTES", "Head", "Problem", "Verification", "hash_of", "seal"]

MAX_LINE_BYTES: Final = 16 * 1024

_END: Final = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
_END_BYTES: Final = len(',"hash":""}') + 64
_HEAD: Final = re.compile(r"([0-9a-f]{32}):([0-9]{1,15}):([0-9a-f]{64})")


@attrs.frozen
class Head:
    """The last line of a chain; its text is what to keep where the log's writer cannot change it.

    Attributes:
        chain: the chain's id.
        number: the line's number in the chain, from 0.
        hash: the line's hash.
    """

    chain: str
    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.chain}:{self.number}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read a head.

        Raises:
            InvalidInputError: it is none.
        """
        found = _HEAD.fullmatch(text)
        if found is None:
            raise InvalidInputError("a head has the form CHAIN:NUMBER:HASH, as the log told it")
        return cls(found[1], int(found[2]), found[3])


def seal(entry: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return an entry as a line with its hash and the line's end, and the hash."""
    body = json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(body).hexdigest()
    return b'%s,"hash":"%s"}\n' % (body[:-1], digest.encode()), digest


def hash_of(line: bytes) -> str | None:
    """Return the hash that stands in a line, if it is the line's own."""
    text = line.removesuffix(b"\n")
    end = _END.fullmatch(text[-_END_BYTES:])
    if end is None:
        return None
    stated = end[1].decode()
    own = hashlib.sha256(text[:-_END_BYTES] + b"}").hexdigest()
    return stated if own == stated else None


@attrs.frozen
class Problem:
    """What is wrong with a log.

    Attributes:
        file: the file's name.
        line: the line's number in it, from 1; 0 where it is none of the lines.
        text: what is wrong.
    """

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else self.text


@attrs.define
class Verification:
    """Verifies files of one log, the oldest first; see the module for what can be found.

    Attributes:
        entries: how many lines were read.
        heads: the last line of each chain.
        unfinished: ids of operations that have an intent and no outcome, with where they stand:
            these were interrupted, or are still running.
        problems: what is wrong.
    """

    entries: int = 0
    heads: dict[str, Head] = attrs.field(factory=dict)
    unfinished: dict[str, str] = attrs.field(factory=dict)
    problems: list[Problem] = attrs.field(factory=list)
    _wanted: dict[str, list[Head]] = attrs.field(factory=dict)
    # The hash of the line before, "" where that is no whole line, None where there is none.
    _last: str | None = None
    _first_of_file: bool = True

    @classmethod
    def against(cls, heads: Iterable[Head]) -> Verification:
        """Return one that also looks for these heads, which were kept elsewhere."""
        made = cls()
        for head in heads:
            made._wanted.setdefault(head.chain, []).append(head)  # Its own.
        return made

    def read(self, name: str, lines: Iterable[bytes]) -> None:
        """Verify one file.

        Args:
            name: what it is called in problems.
            lines: its lines, each with its end.
        """
        for number, line in enumerate(lines, 1):
            self.entries += 1
            self._first_of_file = number == 1
            for text in self._check(line, f"{name}:{number}"):
                self.problems.append(Problem(name, number, text))

    def finish(self) -> None:
        """Look for the heads that were not found; to be called once, after the last file."""
        for heads in self._wanted.values():
            for head in heads:
                text = f"the log does not reach the head {head}: it was shortened or hashed anew"
                self.problems.append(Problem("", 0, text))
        self._wanted.clear()

    def _check(self, line: bytes, place: str) -> Iterator[str]:
        digest = hash_of(line)
        entry = None if digest is None or not line.endswith(b"\n") else _entry(line)
        if digest is None or entry is None:
            self._last = ""
            yield "the line was changed, or is not whole"
            return
        chain, number = entry["chain"], entry["number"]
        before = self.heads.get(chain)
        if before is None and number:
            yield "the chain's beginning is missing"
        elif before and (number != before.number + 1 or entry.get("previous") != before.hash):
            yield "the line does not follow its chain's before it: lines were taken out or moved"
        else:
            yield from self._check_place(entry)
        self.heads[chain] = Head(chain, number, digest)
        self._last = digest
        self._see(self.heads[chain])
        self._follow(entry, place)

    def _check_place(self, entry: Mapping[str, Any]) -> Iterator[str]:
        after = entry.get("after", "")
        if self._first_of_file and after is None:
            return
        if self._last is None:
            yield "what stood before this line is missing; older files come first"
        elif self._last and after != self._last:
            yield "what stood before this line was changed or taken out"

    def _see(self, head: Head) -> None:
        wanted = self._wanted.get(head.chain, [])
        if head in wanted:
            wanted.remove(head)

    def _follow(self, entry: Mapping[str, Any], place: str) -> None:
        operation = entry.get("id")
        if not isinstance(operation, str):
            return
        if entry.get("outcome") == INTENT:
            self.unfinished[operation] = place
        else:
            self.unfinished.pop(operation, None)


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("chain"), str)
        or type(entry.get("number")) is not int
    ):
        return None
    return entry
