"""Audit events: one for every operation, with ids and names and nothing secret."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import keyhier
from keyhier import AuditEvent, Vault
from keyhier.audit import AuditedOperation
from keyhier.errors import CapacityError, InvalidInputError, KeyhierError, UnwrapError
from tests import jwe
from tests.keys import RAW_KEYS, key_for

SECRET = b"what opens the disk"


@pytest.fixture
def events() -> list[AuditEvent]:
    return []


@pytest.fixture
def vault(events: list[AuditEvent]) -> Iterator[Vault]:
    with keyhier.open("memory:", audit=events.append) as vault:
        yield vault


def test_every_operation_on_a_key_is_told_in_order(vault: Vault, events: list[AuditEvent]) -> None:
    key = vault.create_key("kek", "AES-256", algorithm="A256GCMKW")
    vault.unwrap(key.wrap(SECRET))
    key.unwrap(key.wrap(SECRET))
    key.unwrap_raw(key.wrap_raw(SECRET))
    key.disable()
    key.enable()
    second = key.rotate()
    backup = vault.backup_key("kek")
    key.delete(confirm="kek")
    vault.recover_key("kek")
    key.delete(confirm="kek")
    vault.purge_key("kek", confirm="kek")
    vault.restore_key(backup)
    vault.import_key("other", jwe.KEK)
    first, other = str(key.id), "A256GCMKW"
    assert second.id != key.id
    assert [(e.operation, e.key, e.algorithm, e.outcome) for e in events] == [
        ("create_key", "kek", other, "ok"),
        ("wrap", first, other, "ok"),
        ("unwrap", first, other, "ok"),
        ("wrap", first, other, "ok"),
        ("unwrap", first, other, "ok"),
        ("wrap_raw", first, other, "ok"),
        ("unwrap_raw", first, other, "ok"),
        ("disable", first, None, "ok"),
        ("enable", first, None, "ok"),
        ("rotate", first, None, "ok"),
        ("backup_key", "kek", None, "ok"),
        ("delete", first, None, "ok"),
        ("recover_key", "kek", None, "ok"),
        ("delete", first, None, "ok"),
        ("purge_key", "kek", None, "ok"),
        ("restore_key", "", None, "ok"),
        ("import_key", "other", "A256KW", "ok"),
    ]


def test_a_failure_is_told_by_the_errors_name(vault: Vault, events: list[AuditEvent]) -> None:
    key = vault.create_key("kek", "AES-256")
    wrapped = key.wrap(SECRET)
    events.clear()
    with pytest.raises(CapacityError):
        key.wrap(bytes(50_000))
    with pytest.raises(InvalidInputError):
        key.wrap_raw(b"")
    with pytest.raises(UnwrapError):
        vault.unwrap(wrapped, context={"a": "b"})
    key.disable()
    with pytest.raises(KeyhierError):
        vault.unwrap(wrapped)
    assert [(event.operation, event.outcome) for event in events] == [
        ("wrap", "CapacityError"),
        ("wrap_raw", "InvalidInputError"),
        ("unwrap", "UnwrapError"),
        ("disable", "ok"),
        ("unwrap", "InvalidStateError"),
    ]


def test_what_is_malformed_by_its_public_bytes_is_no_operation(
    vault: Vault, events: list[AuditEvent]
) -> None:
    for text in ("", "a.b.c.d.e", jwe.seal({**jwe.HEADER, "alg": "none"})):
        with pytest.raises(InvalidInputError):
            vault.unwrap(text)
    assert events == []


@pytest.mark.parametrize("algorithm", RAW_KEYS)
def test_promise_7_no_event_holds_a_secret_or_a_context(
    algorithm: str, vault: Vault, events: list[AuditEvent]
) -> None:
    key = key_for(vault, algorithm)
    secret = b"s3cr3t s3cr3t s3cr3t s3cr3t s3cr"
    raw = key.wrap_raw(secret, algorithm)
    key.unwrap_raw(raw, algorithm)
    if algorithm in keyhier.algorithms.ENVELOPE_ALGORITHMS:
        wrapped = key.wrap(secret, algorithm=algorithm, context={"vm": "web-01"})
        vault.unwrap(wrapped, context={"vm": "web-01"})
        with pytest.raises(UnwrapError):
            vault.unwrap(wrapped, context={"vm": "web-02"})
    assert len(events) > 2
    assert "s3cr3t" not in repr(events)
    assert "web-0" not in repr(events)


def test_what_the_hook_raises_is_raised() -> None:
    def hook(event: AuditEvent) -> None:
        raise RuntimeError(f"the log is full: {event.operation}")

    with (
        keyhier.open("memory:", audit=hook) as vault,
        pytest.raises(RuntimeError, match="the log is full: create_key"),
    ):
        vault.create_key("kek", "AES-256")


def test_an_operation_that_is_interrupted_is_told_too(events: list[AuditEvent]) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        AuditedOperation(events.append, "wrap", "memory:kek/1", "A256KW"),
    ):
        raise KeyboardInterrupt
    assert events == [AuditEvent("wrap", "memory:kek/1", "A256KW", "KeyboardInterrupt")]


def test_without_a_hook_nothing_is_told() -> None:
    with AuditedOperation(None, "wrap", "memory:kek/1"):
        pass
