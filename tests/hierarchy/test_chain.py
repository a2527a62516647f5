"""KEKs in records: to any depth, and never one that somebody planted."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import pytest

import keyhier
from keyhier import (
    AlreadyExistsError,
    AmbiguousError,
    Hierarchy,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    KeyId,
    NotFoundError,
    UnavailableError,
    UnwrapError,
    Vault,
)
from keyhier.audit import AuditEvent
from keyhier.hierarchy.context import context_for
from keyhier.hierarchy.local_kek import LocalKek
from keyhier.hierarchy.middle_kek import KEK_CONTENT_TYPE, thumbprint
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.volume import Volume
from keyhier.records import Query, Record, RecordKind, RecordState, new_record_id
from keyhier.records.sql.store import SqlRecords
from keyhier.secret import SecretBytes
from keyhier.testing.counting import counted
from keyhier_memory.driver import MemoryDriver
from keyhier_memory.store import MemoryStore
from tests.hierarchy.conftest import DB, SECRET, WEB


def recovered(hierarchy: Hierarchy, volume: Volume | str) -> bytes:
    with hierarchy.recover(volume) as secret:
        return secret.reveal()


@pytest.mark.parametrize("kek", ["cmk", "aes"])
def test_a_volume_key_lies_directly_under_a_key_of_the_vault(
    kek: str, hierarchy: Hierarchy
) -> None:
    record = hierarchy.protect(WEB, SECRET, under=kek)
    assert record.key.name == kek
    assert recovered(hierarchy, WEB) == recovered(hierarchy, record.id) == SECRET


def test_keks_lie_under_each_other_to_any_depth(hierarchy: Hierarchy, vault: Vault) -> None:
    above = "aes"
    for depth in range(5):
        above = str(hierarchy.create_kek(f"tier-{depth}", under=above).id)
    hierarchy.protect(WEB, SECRET, under=above)
    with Hierarchy(vault, hierarchy.records) as another:
        assert recovered(another, WEB) == SECRET


def test_records_that_lead_nowhere_are_an_error_and_no_hang(
    hierarchy: Hierarchy, store: SqlRecords
) -> None:
    upper = hierarchy.create_kek("upper", under="aes")
    lower = hierarchy.create_kek("lower", under="upper")
    hierarchy.protect(WEB, SECRET, under="lower")
    hierarchy.close()
    # Somebody who can write the database wraps the upper one under the lower one.
    with SecretBytes.random(32) as material:
        context = context_for(upper.record.id, names=upper.id)
        circle = hierarchy.keyring.use(lower.id).wrap(material, context=context)
    store.replace(upper.record.with_envelope(circle))
    hierarchy.close()
    with pytest.raises(IntegrityError, match="lead to no key of a vault"):
        hierarchy.recover(WEB)


# ---------------------------------------------------------------------- who may plant a KEK


def planted(names: KeyId, vault: Vault, material: SecretBytes, under: str = "cmk") -> Record:
    context = context_for(new_record_id(), names=names)
    wrapped = vault.key(under).wrap(material, context=context, content_type=KEK_CONTENT_TYPE)
    return Record.of(wrapped, kind=RecordKind.KEK, names=names)


def test_promise_4_a_kek_that_anybody_could_have_planted_does_not_wrap(
    hierarchy: Hierarchy, store: SqlRecords, vault: Vault, pins: dict[KeyId, str]
) -> None:
    names = KeyId.parse("record:keys/web/1")
    with SecretBytes.random(32) as material:
        store.add(planted(names, vault, material))
        with pytest.raises(IntegrityError, match="pin the thumbprint"):
            hierarchy.protect(WEB, SECRET, under="web")
        assert store.count(Query(vm=WEB.vm)) == 0
        # Under a KEK that is not authenticated, no other one is.
        with pytest.raises(IntegrityError, match="pin the thumbprint"):
            hierarchy.create_kek("below", under=names)
        pins[names] = thumbprint(names, material)
    hierarchy.close()
    hierarchy.protect(WEB, SECRET, under="web")
    del pins[names]
    hierarchy.close()
    # What is there can be read.
    assert recovered(hierarchy, WEB) == SECRET


def test_promise_4_another_kek_than_the_pinned_one_is_not_used_at_all(
    hierarchy: Hierarchy, store: SqlRecords, vault: Vault, pins: dict[KeyId, str]
) -> None:
    made = hierarchy.create_kek("web", under="cmk")
    pins[made.id] = made.thumbprint
    hierarchy.protect(WEB, SECRET, under="web")
    hierarchy.close()
    with SecretBytes.random(32) as material:
        context = context_for(made.record.id, names=made.id)
        wrapped = vault.key("cmk").wrap(material, context=context, content_type=KEK_CONTENT_TYPE)
    store.replace(made.record.with_envelope(wrapped))
    for use in (lambda: hierarchy.recover(WEB), lambda: hierarchy.protect(DB, SECRET, under="web")):
        with pytest.raises(IntegrityError, match="not the KEK that is pinned"):
            use()


def refuses(hierarchy: Hierarchy, under: str | KeyId) -> bool:
    """Whether a KEK wraps nothing, because nothing says that it is the one that was made."""
    try:
        hierarchy.protect(Volume(f"vm-{under}", "C:"), SECRET, under=under, replace=True)
    except IntegrityError as error:
        return "parents" in (error.remedy or "")
    return False


def test_promise_4_who_uses_another_aes_key_of_the_vault_plants_no_kek(
    vault: Vault, store: SqlRecords
) -> None:
    for name in ("root", "guest"):
        vault.create_key(name, "AES-256")
    with Hierarchy(vault, store, policy=Policy(parents=["root"])) as hierarchy:
        made = hierarchy.create_kek("web", under="root")
        below = hierarchy.create_kek("below", under="web")
        assert not refuses(hierarchy, "below")
        # A newer version of the same KEK, under the only key that its maker may use.
        names = attrs.evolve(made.id, version="f" * 32)
        with SecretBytes.random(32) as material:
            store.add(planted(names, vault, material, under="guest"))
        hierarchy.close()
        assert refuses(hierarchy, names)
        assert refuses(hierarchy, "web")
        assert not refuses(hierarchy, below.id)


@pytest.mark.parametrize(
    ("parents", "believed"),
    [
        (["root"], True),
        ((KeyId.parse("memory:root"),), True),
        (["memory:root"], True),
        (["guest", "root"], True),
        (["guest"], False),
        ([], False),
        (["cmk"], False),
        # Which one is meant nobody said (promise 9).
        (None, False),
    ],
)
def test_a_kek_is_believed_under_the_parents_that_are_named(
    parents: list[str] | None, believed: bool, vault: Vault, store: SqlRecords
) -> None:
    for name, spec in (("root", "AES-256"), ("guest", "AES-256"), ("cmk", "RSA-2048")):
        vault.create_key(name, spec)
    with Hierarchy(vault, store, policy=Policy(parents=parents)) as hierarchy:
        hierarchy.create_kek("web", under="root")
        assert refuses(hierarchy, "web") is not believed
        hierarchy.create_kek("open", under="cmk")
        assert refuses(hierarchy, "open")


def test_the_only_aes_key_of_a_vault_is_the_parent_where_none_is_named(
    hierarchy: Hierarchy, vault: Vault, store: SqlRecords
) -> None:
    hierarchy.create_kek("web", under="aes")
    vault.key("aes").rotate()
    assert not refuses(hierarchy, "web")
    late = vault.create_key("late", "AES-256")
    hierarchy.create_kek("other", under=late.id)
    assert refuses(hierarchy, "other")
    # Whoever comes later sees two.
    with Hierarchy(vault, store) as another:
        assert refuses(another, "web")
        # What is there can be read.
        assert recovered(another, Volume("vm-web", "C:")) == SECRET


def test_a_parent_that_moved_is_known_by_its_id_of_old(store: SqlRecords) -> None:
    with keyhier.open("memory:") as old, Hierarchy(old, store) as hierarchy:
        old_id = old.create_key("root", "AES-256").id
        hierarchy.create_kek("web", under="root")
        backup = old.backup_key("root")
    with keyhier.open("memory:", aliases={str(old_id): str(old_id)}) as new:
        new.restore_key(backup)
        new.create_key("guest", "AES-256")
        policy = Policy(parents=[old_id.versionless])
        with Hierarchy(new, store, policy=policy) as hierarchy:
            assert not refuses(hierarchy, "web")


def test_promise_4_a_planted_kek_is_not_rewrapped_because_another_was_open(
    hierarchy: Hierarchy, store: SqlRecords, vault: Vault, pins: dict[KeyId, str]
) -> None:
    made = hierarchy.create_kek("web", under="cmk")
    pins[made.id] = made.thumbprint
    # From now on it is in the cache, and known to be the one that was made.
    hierarchy.protect(WEB, SECRET, under="web")
    aes = vault.key("aes").id
    hierarchy.keyring.require_trust(made.record, aes)
    with SecretBytes.random(32) as material:
        context = context_for(made.record.id, names=made.id)
        wrapped = vault.key("cmk").wrap(material, context=context, content_type=KEK_CONTENT_TYPE)
    changed = store.replace(made.record.with_envelope(wrapped))
    with pytest.raises(IntegrityError, match="not the KEK that is pinned"):
        hierarchy.keyring.require_trust(changed, aes)
    # Without its pin it is believed as little, although what is in the cache was.
    del pins[made.id]
    with pytest.raises(IntegrityError, match="it would be trusted"):
        hierarchy.keyring.require_trust(changed, aes)


def test_promise_4_no_key_lends_a_kek_more_trust_than_it_has(
    vault: Vault, store: SqlRecords
) -> None:
    keys = {name: vault.create_key(name, "AES-256") for name in ("root", "guest")}
    with Hierarchy(vault, store, policy=Policy(parents=["root"])) as hierarchy:
        guest = hierarchy.create_kek("guest-kek", under="guest")
        hierarchy.create_kek("web", under="root")
        trust = hierarchy.keyring.require_trust
        with pytest.raises(IntegrityError, match="it would be trusted"):
            trust(guest.record, keys["root"].id)
        # A newer version of the key that it lies under lends it nothing.
        trust(guest.record, keys["guest"].rotate().id)
        trust(hierarchy.create_kek("below", under="web").record, keys["root"].id)
        retired = hierarchy.create_kek("old", under="root").record
        trust(store.replace(attrs.evolve(retired, state=RecordState.RETIRED)), keys["guest"].id)


def test_a_kek_under_a_symmetric_key_needs_no_pin(hierarchy: Hierarchy) -> None:
    hierarchy.create_kek("upper", under="aes")
    hierarchy.create_kek("lower", under="upper")
    hierarchy.protect(WEB, SECRET, under="lower")
    assert recovered(hierarchy, WEB) == SECRET


def test_a_wrapped_volume_key_is_not_passed_off_as_a_kek(
    hierarchy: Hierarchy, store: SqlRecords
) -> None:
    # Who knows 32 bytes that lie under the symmetric key makes them a KEK's record.
    volume = hierarchy.protect(WEB, b"k" * 32, under="aes")
    store.delete(volume)
    names = KeyId.parse("record:keys/web/1")
    store.add(attrs.evolve(volume, kind=RecordKind.KEK, names=names, generation=0))
    with pytest.raises(UnwrapError):
        hierarchy.protect(DB, SECRET, under="web")


def test_a_kek_is_not_handed_out_as_a_volume_key(hierarchy: Hierarchy, store: SqlRecords) -> None:
    made = hierarchy.create_kek("web", under="aes")
    with pytest.raises(IntegrityError, match="no volume's key"):
        hierarchy.recover(made.record.id)
    store.delete(made.record)
    relabelled = attrs.evolve(
        made.record, kind=RecordKind.VOLUME_KEY, names=None, vm="web-01", volume="C:"
    )
    store.add(attrs.evolve(relabelled, generation=0))
    with pytest.raises((UnwrapError, IntegrityError)):
        hierarchy.recover(made.record.id)


def test_one_kek_is_not_passed_off_as_another(hierarchy: Hierarchy, store: SqlRecords) -> None:
    made = hierarchy.create_kek("web", under="aes")
    store.delete(made.record)
    names = KeyId.parse("record:keys/web/2")
    store.add(attrs.evolve(made.record, names=names, generation=0))
    with pytest.raises(UnwrapError):
        hierarchy.protect(WEB, SECRET, under=names)


# ---------------------------------------------------------------------- versions and names


def test_a_new_version_made_for_a_tag_is_found_again(hierarchy: Hierarchy) -> None:
    made = hierarchy.create_kek("web", under="aes")
    first = hierarchy.keyring.new_version(made.id, tag="job")
    assert hierarchy.keyring.new_version(made.id, tag="job") == first != made.id
    assert hierarchy.keyring.latest(made.id).id == first
    assert hierarchy.records.count(Query(names=made.id.versionless)) == 2


def test_two_who_make_one_version_adopt_the_one_that_was_first(
    hierarchy: Hierarchy, vault: Vault, store: SqlRecords
) -> None:
    made = hierarchy.create_kek("web", under="aes")
    with Hierarchy(vault, store) as other:
        found = {each.keyring.new_version(made.id, tag="job") for each in (hierarchy, other)}
    assert len(found) == 1
    # A key of a vault is made anew for a tag only once, too.
    cmk = KeyId.parse("memory:cmk")
    found = {hierarchy.keyring.new_version(cmk, tag="0" * 32) for _ in range(2)}
    assert len(found) == 1


def test_a_moved_key_opens_what_names_its_old_id_and_nothing_else(store: SqlRecords) -> None:
    with keyhier.open("memory:") as old:
        key = old.create_key("kek", "RSA-2048")
        other = key.rotate()
        backup = old.backup_key("kek")
        wrapped = other.wrap(SECRET)
    with keyhier.open("memory:", aliases={str(key.id): str(key.id)}) as new:
        new.restore_key(backup)
        with Hierarchy(new, store) as hierarchy, pytest.raises(UnwrapError):
            hierarchy.keyring.use(key.id).unwrap(wrapped)


def test_what_is_wrapped_under_a_key_that_moved_opens_by_both_of_its_ids(store: SqlRecords) -> None:
    with keyhier.open("memory:") as first:
        new = first.create_key("kek", "RSA-2048")
        old = KeyId.parse("memory:before/1")
        vault = Vault(first._opened.driver, uri="memory:", aliases={old: new.id})
        with Hierarchy(vault, store) as hierarchy:
            record = hierarchy.protect(WEB, SECRET, under=old)
            assert record.key == new.id
            assert recovered(hierarchy, WEB) == SECRET
            with hierarchy.keyring.use(old).unwrap(new.wrap(SECRET)) as secret:
                assert secret == SECRET


def test_a_kek_in_memory_is_for_one_thing() -> None:
    names = KeyId.parse("record:keys/web/1")
    with SecretBytes.random(32) as material:
        kek = LocalKek(names, material, None)
    wrapped = kek.wrap(SECRET)
    head, encrypted, *rest = str(wrapped).split(".")
    for altered in (
        ".".join([head, encrypted[:-4] + "AAAA", *rest]),
        ".".join([head, encrypted, *rest[:-1], "A" * 22]),
    ):
        with pytest.raises(UnwrapError) as caught:
            kek.unwrap(altered)
        assert caught.value.__context__ is None
    assert names.name in repr(kek)
    kek.close()
    with pytest.raises(InvalidStateError):
        kek.unwrap(wrapped)


def test_names_that_nothing_or_two_things_answer_to_are_errors(
    hierarchy: Hierarchy, vault: Vault
) -> None:
    with pytest.raises(NotFoundError, match="no KEK 'web'"):
        hierarchy.protect(WEB, SECRET, under="web")
    hierarchy.create_kek("web", under="aes")
    with pytest.raises(AlreadyExistsError):
        hierarchy.create_kek("web", under="aes")
    vault.create_key("web", "AES-256")
    with pytest.raises(AmbiguousError) as caught:
        hierarchy.protect(WEB, SECRET, under="web")
    assert set(caught.value.candidates) == {"record:keys/web", "memory:web"}
    with pytest.raises(NotFoundError, match="no record of the KEK"):
        hierarchy.protect(WEB, SECRET, under="record:keys/other/1")
    with pytest.raises(NotFoundError):
        hierarchy.protect(WEB, SECRET, under="record:keys/other")
    with pytest.raises(InvalidInputError):
        hierarchy.protect(WEB, SECRET)


def test_a_retired_kek_neither_wraps_nor_unwraps(hierarchy: Hierarchy, store: SqlRecords) -> None:
    made = hierarchy.create_kek("web", under="aes")
    hierarchy.protect(WEB, SECRET, under="web")
    store.replace(attrs.evolve(made.record, state=RecordState.RETIRED))
    hierarchy.close()
    with pytest.raises(InvalidStateError, match="was retired"):
        hierarchy.recover(WEB)


def test_keys_that_moved_are_found_by_their_aliases(store: SqlRecords) -> None:
    with keyhier.open("memory:") as old, Hierarchy(old, store) as hierarchy:
        material = SecretBytes.random(32)
        old_id = old.import_key("kek", material).id
        hierarchy.protect(WEB, SECRET, under=old_id)
        backup = old.backup_key("kek")
    with keyhier.open("memory:", aliases={str(old_id): str(old_id)}) as new:
        new.restore_key(backup)
        with Hierarchy(new, store) as hierarchy:
            assert recovered(hierarchy, WEB) == SECRET
            hierarchy.protect(DB, SECRET, under=old_id)


def test_several_vaults_hold_the_keys_of_one_hierarchy(store: SqlRecords) -> None:
    with keyhier.open("memory:") as one, keyhier.open("memory:") as two:
        one.create_key("one", "AES-256")
        two.create_key("two", "AES-256")
        with Hierarchy([one, two], store) as hierarchy:
            hierarchy.protect(WEB, SECRET, under="one")
            hierarchy.protect(DB, SECRET, under="two")
            assert recovered(hierarchy, WEB) == recovered(hierarchy, DB) == SECRET
        with Hierarchy(one, store) as hierarchy, pytest.raises(NotFoundError, match="in its vault"):
            hierarchy.recover(DB)


# ---------------------------------------------------------------------- KEKs inside of the vault


def test_a_kek_is_unwrapped_into_the_token_where_it_can_be(
    softhsm_vault: Vault, store: SqlRecords
) -> None:
    softhsm_vault.create_key("aes", "AES-256")
    with Hierarchy(softhsm_vault, store, policy=Policy(session_keks=True)) as hierarchy:
        made = hierarchy.create_kek("web", under="aes")
        assert "session" in made.record.details
        hierarchy.protect(WEB, SECRET, under="web")
        assert recovered(hierarchy, WEB) == SECRET
    # One that unwraps into memory opens what was wrapped in the token.
    with Hierarchy(softhsm_vault, store) as hierarchy:
        assert recovered(hierarchy, WEB) == SECRET
        # After a rotation what was kept for sessions is of the version before.
        hierarchy.rotate("aes")
    with Hierarchy(softhsm_vault, store, policy=Policy(session_keks=True)) as hierarchy:
        assert recovered(hierarchy, WEB) == SECRET


def test_another_kek_for_sessions_than_the_records_is_refused(
    softhsm_vault: Vault, store: SqlRecords
) -> None:
    softhsm_vault.create_key("aes", "AES-256")
    with Hierarchy(softhsm_vault, store, policy=Policy(session_keks=True)) as hierarchy:
        one, two = (hierarchy.create_kek(name, under="aes") for name in ("one", "two"))
        session = {**one.record.details["session"]}
        session["wrapped"] = two.record.details["session"]["wrapped"]
        store.replace(attrs.evolve(one.record, details={"session": session}))
        with pytest.raises(IntegrityError, match="another KEK for sessions"):
            hierarchy.protect(WEB, SECRET, under="one")


def test_a_kek_for_sessions_goes_where_its_check_fails(store: SqlRecords) -> None:
    refused: list[str] = []

    def hook(event: AuditEvent) -> None:
        if event.operation == "unwrap" and event.key in refused:
            raise UnavailableError("whoever is to be told is away")

    driver, calls = counted(MemoryDriver(MemoryStore()))
    with Vault(driver, uri="memory:", audit=hook) as vault:
        vault.create_key("aes", "AES-256")
        with Hierarchy(vault, store, policy=Policy(session_keks=True)) as hierarchy:
            made = hierarchy.create_kek("web", under="aes")
            refused.append(str(made.id))
            with pytest.raises(UnavailableError):
                hierarchy.protect(WEB, SECRET, under="web")
            assert (calls.count("unwrap_into"), calls.count("discard")) == (1, 1)


def test_a_kek_for_sessions_is_believed_under_the_parents_only(
    softhsm_vault: Vault, store: SqlRecords
) -> None:
    for name in ("root", "guest"):
        softhsm_vault.create_key(name, "AES-256")
    policy = Policy(session_keks=True, parents=["root"])
    with Hierarchy(softhsm_vault, store, policy=policy) as hierarchy:
        for name in ("root", "guest"):
            made = hierarchy.create_kek(f"{name}-kek", under=name)
            assert "session" in made.record.details
        assert not refuses(hierarchy, "root-kek")
        assert refuses(hierarchy, "guest-kek")


def test_promise_4_a_search_that_was_tampered_with_leads_to_no_other_kek(
    hierarchy: Hierarchy, store: SqlRecords, tmp_path: Path
) -> None:
    payroll = hierarchy.create_kek("payroll", under="aes")
    guest = hierarchy.create_kek("guest", under="aes")
    hierarchy.close()
    with closing(sqlite3.connect(tmp_path / "records.db")) as database, database:
        changed = database.execute(
            "UPDATE keyhier_records SET names_key = ?, created = created + 1000 WHERE names = ?",
            (str(payroll.id.versionless), str(guest.id)),
        )
        assert changed.rowcount == 1
    assert hierarchy.protect(WEB, SECRET, under="payroll").key == payroll.id
