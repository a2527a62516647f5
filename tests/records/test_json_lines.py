"""Records as JSON Lines: what is written is read back, and a broken line is told by its number."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId
from keyhier.records import Previous, Record
from keyhier.records.json_lines import MAX_LINE_BYTES, read_lines, to_line
from tests.records.conftest import Maker


@pytest.fixture
def record(maker: Maker) -> Record:
    when = datetime(2026, 2, 3, 4, 5, 6, 789000, tzinfo=UTC)
    full = maker.record(
        vm="web-01",
        volume="C:",
        set="w\n☃",
        labels={"a": "b"},
        details={"x": [1, {}]},
        kind="kek",
        names=KeyId.parse("record:fleet/web/1"),
    )
    return attrs.evolve(
        full, recovery=full.envelope, generation=3, created=when, updated=when, state="retired"
    )


def read(*lines: str) -> list[Record]:
    return list(read_lines(line.encode() for line in lines))


def test_a_record_is_read_back(record: Record, maker: Maker) -> None:
    plain = maker.record()
    assert read(to_line(record), to_line(plain) + "\n") == [record, plain]
    assert "\n" not in to_line(record)


def test_an_envelope_before_is_written_and_not_read(record: Record) -> None:
    held = attrs.evolve(record, previous=Previous(record.envelope, record.key, "some job"))
    assert json.loads(to_line(held))["previous"]["job"] == "some job"
    assert read(to_line(held)) == [record]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "its format is not 1"),
        ({"secret": "x"}, "members that a record has not"),
        ({"id": "x"}, "no record's id"),
        ({"id": 7}, "its id is not text"),
        ({"envelope": "a.b.c.d.e"}, "a part of the wrapped key"),
        ({"envelope": None}, "its envelope is not text"),
        ({"key": "memory:other/1"}, "its envelope names"),
        ({"key": "x"}, "a key's id starts with"),
        ({"kind": "disk"}, "kind or state"),
        ({"state": "lost"}, "kind or state"),
        ({"names": "memory:a/1"}, "record:HIERARCHY"),
        ({"labels": []}, "its labels is not an object"),
        ({"labels": {"a": 1}}, "labels"),
        ({"generation": True}, "generation"),
        ({"generation": -1}, "generation"),
        ({"created": "yesterday"}, "a time is written"),
        ({"created": "2026-01-31T12:00:00"}, "a time is written"),
        ({"vm": ""}, "a record's vm"),
    ],
)
def test_a_broken_line_is_told_by_its_number(
    change: dict[str, Any], message: str, record: Record
) -> None:
    broken = json.dumps(json.loads(to_line(record)) | change)
    with pytest.raises(InvalidInputError, match=f"line 2 is no record: .*{message}"):
        read(to_line(record), broken)


@pytest.mark.parametrize("missing", ["id", "key", "envelope"])
def test_what_every_record_has_may_not_be_missing(missing: str, record: Record) -> None:
    document = json.loads(to_line(record))
    del document[missing]
    with pytest.raises(InvalidInputError, match=f"it has no {missing}"):
        read(json.dumps(document))


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"\xff", b"[]", b"{", b'{"a":1,"a":2}', b"[" * 99_999, b"NaN"]
)
def test_what_is_no_object_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidInputError, match="line 1 is no record: "):
        list(read_lines([line]))


def test_a_line_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="it has more than"):
        list(read_lines([b" " * (MAX_LINE_BYTES + 1)]))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_line_is_a_record_or_invalid_input(line: bytes) -> None:
    with pytest.raises(InvalidInputError):
        list(read_lines([line]))
