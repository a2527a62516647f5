"""Jobs on KEKs that are kept in records, and on the keys above them."""

from __future__ import annotations

import keyhier
from keyhier import IntegrityError, KeyId, Vault
from keyhier.hierarchy.facade import Hierarchy
from keyhier.hierarchy.policy import Policy
from keyhier.records import ItemState, Query
from keyhier.records.sql.store import SqlRecords
from tests.hierarchy.jobs.scene import bound_to, new_record, secret_of
from tests.hierarchy.jobs.vaults import counting_vault


def test_rotating_the_key_of_the_vault_wraps_only_the_keks_anew(
    store: SqlRecords, memory: Vault
) -> None:
    with Hierarchy(memory, store) as hierarchy:
        for number in range(3):
            made = hierarchy.create_kek(f"middle-{number}", under="kek")
            for _ in range(4):
                record = new_record(_user(hierarchy, made.id))
                store.add(record)
        volumes = [record for record in store.find() if record.names is None]
        report = hierarchy.rotate("kek")
        assert report.counts[ItemState.SWAPPED] == 3
        assert [store.get(record.id) for record in volumes] == volumes
        for record in volumes:
            with hierarchy.keyring.use(record.key).unwrap(
                record.wrapped, context=bound_to(record.id)
            ) as secret:
                assert secret == secret_of(record.id)


def test_a_rotation_of_the_key_of_the_vault_unwraps_twice_for_each_kek_whatever_lies_under_it(
    store: SqlRecords,
) -> None:
    vault, calls = counting_vault()
    vault.create_key("cmk", "RSA-2048")
    pins: dict[KeyId, str] = {}
    policy = Policy(pins=pins)
    with Hierarchy(vault, store, policy=policy) as hierarchy:
        for number in range(5):
            made = hierarchy.create_kek(f"middle-{number}", under="cmk")
            pins[made.id] = made.thumbprint
            store.add(*(new_record(_user(hierarchy, made.id)) for _ in range(20)))
    calls.clear()
    # Nothing is in memory, as when a program has just begun.
    with Hierarchy(vault, store, policy=policy) as hierarchy:
        assert hierarchy.rotate("cmk").complete
    # Once to open each, and once to see that the new envelope opens.
    assert calls.count("unwrap") == 10


def test_a_kek_in_a_record_is_rotated_like_any_other(store: SqlRecords, memory: Vault) -> None:
    with Hierarchy(memory, store) as hierarchy:
        made = hierarchy.create_kek("middle", under="kek")
        for _ in range(5):
            store.add(new_record(_user(hierarchy, made.id)))
        report = hierarchy.rotate("middle")
        assert report.complete
        assert report.job.target is not None
        assert report.job.target != made.id
        assert store.count(Query(key=report.job.target)) == 5


def test_a_kek_that_anybody_could_have_planted_gets_no_trust_from_a_migration(
    store: SqlRecords, memory: Vault
) -> None:
    """Whoever may write the records can wrap a KEK of their own under a public key."""
    with keyhier.open("memory:") as rsa:
        rsa.create_key("kek", "RSA-2048")
        with Hierarchy(rsa, store) as hierarchy:
            made = hierarchy.create_kek("middle", under="kek")
            report = hierarchy.migrate(memory)
        (failed,) = store.journal.items(report.job.id, ItemState.FAILED)
        assert (failed.record, failed.error) == (made.record.id, IntegrityError.__name__)


def _user(hierarchy: Hierarchy, key: KeyId) -> keyhier.Key:
    return hierarchy.keyring.use(key)  # type: ignore[return-value]  # It wraps as a Key does.
