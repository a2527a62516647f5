"""What a job leaves as it was is named, with what mends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import keyhier
from keyhier import Hierarchy, IntegrityError, KeyId, Vault
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.reference import KeyReference
from keyhier.hierarchy.volume import Volume
from keyhier.records.sql.store import SqlRecords
from tests.hierarchy.jobs.scene import fill

WEB = Volume("web-01", "C:")


@pytest.fixture
def there() -> Iterator[Vault]:
    with keyhier.open("memory:") as vault:
        yield vault


def test_sets_that_refer_to_what_their_records_needed_before_are_named(
    store: SqlRecords, memory: Vault, there: Vault
) -> None:
    cmk, other = (memory.create_key(name, "RSA-2048") for name in ("cmk", "other"))
    fill(store, cmk, 2)
    hierarchy = Hierarchy(memory, store)
    hierarchy.sets.create("pinned", KeyReference.pinned(cmk.id))
    hierarchy.sets.create("following", KeyReference.following(cmk.id))
    hierarchy.sets.create("elsewhere", KeyReference.pinned(other.id))
    rotation = hierarchy.rotate("cmk").job
    assert rotation.target is not None
    left = hierarchy.jobs.left_behind(rotation)
    # What follows the latest version takes it up when it is observed.
    assert hierarchy.sets.get("following").active == cmk.id
    assert left.unobserved == ("following",)
    hierarchy.sets.observe("following")
    assert hierarchy.jobs.left_behind(rotation).unobserved == ()
    assert left.sets == {"pinned": KeyReference.pinned(rotation.target)}
    hierarchy.sets.refer("pinned", left.sets["pinned"])
    assert hierarchy.jobs.left_behind(rotation).sets == {}
    hierarchy.jobs.finalize(rotation.id)
    new = there.create_key("new", "RSA-2048")
    key_map = {"cmk": "new"}
    migration = hierarchy.migrate(there, key_map).job
    assert hierarchy.jobs_beside(there, key_map).left_behind(migration).sets == {
        "following": KeyReference.following(new.id),
        "pinned": KeyReference.pinned(new.id),
    }


def test_keks_that_wrap_no_more_are_named_with_the_thumbprint_that_mends_it(
    store: SqlRecords, memory: Vault, there: Vault
) -> None:
    there.create_key("kek", "RSA-2048")
    pins: dict[KeyId, str] = {}
    with Hierarchy(memory, store, policy=Policy(pins=pins)) as hierarchy:
        made = hierarchy.create_kek("team", under="kek")
        hierarchy.protect(WEB, b"the key of a disk", under=made.id)
        job = hierarchy.migrate(there).job
        left = hierarchy.jobs_beside(there).left_behind(job)
    assert left.pins == {made.id: made.thumbprint}
    with Hierarchy(there, store, policy=Policy(pins=pins)) as moved:
        with moved.recover(WEB) as secret:
            assert secret == b"the key of a disk"
        with pytest.raises(IntegrityError, match="nothing outside of the records"):
            moved.protect(Volume("web-02", "C:"), b"another", under=made.id)
    pins.update(left.pins)
    with Hierarchy(there, store, policy=Policy(pins=pins)) as pinned:
        pinned.protect(Volume("web-02", "C:"), b"another", under=made.id)
        assert pinned.jobs_beside(there).left_behind(job).pins == {}


def test_keks_that_stay_under_symmetric_keys_wrap_as_before(
    store: SqlRecords, memory: Vault, there: Vault
) -> None:
    there.create_key("kek", "AES-256")
    with Hierarchy(memory, store) as hierarchy:
        made = hierarchy.create_kek("team", under="kek")
        job = hierarchy.migrate(there).job
        left = hierarchy.jobs_beside(there).left_behind(job)
    assert (left.sets, left.pins) == ({}, {})
    with Hierarchy(there, store) as moved:
        moved.protect(WEB, b"the key of a disk", under=made.id)
