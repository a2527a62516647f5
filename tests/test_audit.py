"""Audit events: one for every operation, with ids and names and nothing secret."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pytest

import keyhier
from keyhier import AuditEvent, Vault
from keyhier.audit import AuditedOperation, record_in
from keyhier.errors import (
    CapacityError,
    InvalidInputError,
    KeyhierError,
    UnavailableError,
    UnsupportedError,
    UnwrapError,
)
from tests import jwe
from tests.keys import RAW_KEYS, key_for
from tests.odd_vault import OddDriver

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


def test_what_a_vault_cannot_do_is_told_alike(events: list[AuditEvent]) -> None:
    driver = OddDriver()
    with Vault(driver, uri="memory:", audit=events.append) as vault:
        key = vault.create_key("kek", "AES-256")
        events.clear()
        for operation, refused in (
            ("create_key", lambda: vault.create_key("big", "RSA-4096")),
            ("import_key", lambda: vault.import_key("other", bytes(32))),
            ("recover_key", lambda: vault.recover_key("other")),
            ("purge_key", lambda: vault.purge_key("other", confirm="other")),
            ("backup_key", lambda: vault.backup_key("kek")),
            ("restore_key", lambda: vault.restore_key(b"x")),
            ("rotate", key.rotate),
            ("disable", key.disable),
            ("enable", key.enable),
            ("delete", lambda: key.delete(confirm="kek")),
            ("unwrap_into", lambda: key.unwrap_into(bytes(40), key_id="record:a/b/1")),
            ("get_secret", lambda: vault.secrets.get("other")),
            ("set_secret", lambda: vault.secrets.set("other", "value")),
            ("delete_secret", lambda: vault.secrets.delete("other", confirm="other")),
            ("recover_secret", lambda: vault.secrets.recover("other")),
            ("purge_secret", lambda: vault.secrets.purge("other", confirm="other")),
        ):
            with pytest.raises(UnsupportedError):
                refused()
            assert [(e.operation, e.outcome) for e in events] == [(operation, "UnsupportedError")]
            events.clear()


class Trail:
    """A hook that is told before an operation, and can refuse it."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.refuses = False

    def begin(self, event: AuditEvent) -> None:
        if self.refuses:
            raise UnavailableError("the log is away")
        self.events.append(event)

    def __call__(self, event: AuditEvent) -> None:
        self.events.append(event)


def test_a_trail_is_told_before_and_can_stop_what_is_not_begun() -> None:
    trail = Trail()
    with keyhier.open("memory:", audit=trail) as vault:
        key = vault.create_key("kek", "AES-256")
        trail.refuses = True
        with pytest.raises(UnavailableError, match="the log is away"):
            key.delete(confirm="kek")
        trail.refuses = False
        assert vault.key("kek").enabled
    intent, outcome = trail.events
    assert (intent.outcome, outcome.outcome) == ("intent", "ok")
    assert intent.id == outcome.id != ""
    assert (intent.made, outcome.made) == (None, str(key.id))
    assert intent.seconds is None
    assert outcome.seconds is not None


@pytest.mark.parametrize("context", [None, {}, {"vm": "x"}, {"record": 7}, 7])
def test_only_a_record_is_told_of_a_context(context: Any) -> None:
    assert record_in(context) is None
    assert record_in({"record": "an id", "vm": "x"}) == "an id"


def test_promise_3_the_order_of_events_tells_nothing_of_why_an_envelope_did_not_open() -> None:
    trail = Trail()
    with keyhier.open("memory:", audit=trail) as vault, keyhier.open("memory:") as elsewhere:
        key, gone = vault.create_key("kek", "AES-256"), vault.create_key("gone", "AES-256")
        good, of_another = str(key.wrap(SECRET)), str(gone.wrap(SECRET))
        gone.delete(confirm="gone")
        vault.purge_key("gone", confirm="gone")
        unknown = str(elsewhere.create_key("foreign", "AES-256").wrap(SECRET))
        head, wrapped, iv, ciphertext, tag = good.split(".")
        failing = [
            (good, {"vm": "another"}),
            (".".join((head, jwe.encode(bytes(40)), iv, ciphertext, tag)), None),
            (".".join((head, wrapped, iv, ciphertext, jwe.encode(bytes(16)))), None),
            (of_another, None),
            (unknown, None),
        ]
        trail.events.clear()
        items = [item for each in failing for item in (each, (good, None))] * 8
        outcomes = list(vault.unwrap_many(items, workers=1))
    assert [type(outcome.error) for outcome in outcomes] == [UnwrapError, type(None)] * 40
    runs = [len(list(run)) for _, run in groupby(trail.events, lambda e: e.outcome == "intent")]
    # What is begun side by side ends side by side.
    assert runs[::2] == runs[1::2]
    assert max(runs) > 1
