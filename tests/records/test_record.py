"""Record: what can be one, and what its envelope must say."""

from __future__ import annotations

import uuid
from typing import Any

import attrs
import pytest

from keyhier import Vault
from keyhier.errors import IntegrityError, InvalidInputError
from keyhier.identifiers import KeyId
from keyhier.records import Record, RecordKind, new_record_id
from tests.records.conftest import SECRET, Maker


def test_an_id_is_a_uuid_that_sorts_by_its_time() -> None:
    made = [new_record_id() for _ in range(100)]
    assert {uuid.UUID(each).version for each in made} == {7}
    assert {uuid.UUID(each).variant for each in made} == {uuid.RFC_4122}
    assert len(set(made)) == 100
    milliseconds = [uuid.UUID(each).int >> 80 for each in made]
    assert milliseconds == sorted(milliseconds)


def test_a_record_is_made_of_an_envelope_that_names_it(maker: Maker) -> None:
    record_id = new_record_id()
    wrapped = maker.first.wrap(SECRET, context={"record": record_id, "vm": "web-01"})
    for given in (wrapped, str(wrapped)):
        record = Record.of(given, vm="web-01")
        assert (record.id, record.key, record.vm) == (record_id, maker.first.id, "web-01")
        assert record.wrapped == wrapped
        assert record.kind is RecordKind.VOLUME_KEY
    with pytest.raises(InvalidInputError, match="names it in its context"):
        Record.of(maker.first.wrap(SECRET, context={"vm": "web-01"}))
    with pytest.raises(IntegrityError, match="is not this record's"):
        Record.of(wrapped, id=new_record_id())


def test_an_envelope_for_recovery_is_the_records_own_too(maker: Maker) -> None:
    ours, theirs = maker.record(), maker.record()
    assert attrs.evolve(ours, recovery=ours.envelope).checked()
    with pytest.raises(IntegrityError):
        attrs.evolve(ours, recovery=theirs.envelope).checked()
    with pytest.raises(InvalidInputError):
        attrs.evolve(ours, recovery="x").checked()


@pytest.mark.parametrize(
    "attributes",
    [
        {"vm": ""},
        {"vm": "a\0b"},
        {"volume": "\ud800"},
        {"set": "x" * 257},
        {"labels": {"": "x"}},
        {"labels": {"x": ""}},
        {"labels": {f"x{number}": "x" for number in range(65)}},
        {"details": {"x": object()}},
        {"details": {"x": float("nan")}},
        {"details": {"x": "y" * 70_000}},
        {"kind": "kek"},
        {"names": KeyId.parse("record:fleet/web/1")},
        {"kind": "kek", "names": KeyId.parse("record:fleet/web")},
        {"kind": "kek", "names": KeyId.parse("memory:web/1")},
        {"id": "x"},
        {"id": str(uuid.uuid4()).upper()},
    ],
)
def test_what_no_store_keeps_is_no_record(attributes: dict[str, Any], maker: Maker) -> None:
    with pytest.raises(InvalidInputError):
        attrs.evolve(maker.record(), **attributes)


def test_a_repr_holds_no_envelope(maker: Maker) -> None:
    record = maker.record(details={"proof": "long"})
    assert record.envelope not in repr(record)
    assert "long" not in repr(record)


def test_an_envelope_is_changed_with_its_key(maker: Maker, vault: Vault) -> None:
    record, second = maker.record(), maker.first.rotate()
    changed = record.with_envelope(maker.again(record, second))
    assert (changed.key, changed.id) == (second.id, record.id)
    with pytest.raises(IntegrityError):
        record.with_envelope(maker.record().wrapped)
