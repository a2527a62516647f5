"""Sets of plans that are applied: kept in the records, or refused before their key is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import keyhier
from keyhier import Hierarchy
from keyhier.azure_disk.set_resource import EncryptionType
from keyhier.errors import AlreadyExistsError, PlacementError
from keyhier.hierarchy.planned_sets import PlannedSets
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.reference import KeyReference
from keyhier.hierarchy.set_arm import from_arm, to_arm
from keyhier.placement import Placement
from keyhier.placement.policy import PlacementPolicy
from keyhier.plans import apply_set
from keyhier.records.sql.store import SqlRecords
from tests.azure.conftest import uri_of
from tests.plans.scenes import SET_ID, SUBSCRIPTION, TENANT, encryption_set, vault
from tests.plans.test_set import create, rotate

if TYPE_CHECKING:
    from keyhier.testing.keyvault import KeyVault


@pytest.fixture
def online(keyvault: KeyVault) -> Iterator[keyhier.Vault]:
    with keyhier.open(uri_of(keyvault), credential=keyvault.credential()) as opened:
        yield opened


@pytest.fixture
def there(keyvault: KeyVault) -> dict[str, Any]:
    """The document of the vault on loopback."""
    return vault(host=keyvault.url.removeprefix("https://").rstrip("/"))


@pytest.fixture
def hierarchy(online: keyhier.Vault, store: SqlRecords) -> Iterator[Hierarchy]:
    with Hierarchy(online, store) as hierarchy:
        yield hierarchy


def used(place: dict[str, Any], key: keyhier.Key) -> dict[str, Any]:
    """The document of the set with this key."""
    return encryption_set(activeKey={"keyUrl": str(key.id), "sourceVault": {"id": place["id"]}})


def test_a_set_that_is_made_is_kept_as_the_plan_has_it(
    hierarchy: Hierarchy, online: keyhier.Vault, there: dict[str, Any]
) -> None:
    applied = apply_set(create(there), [online], keeper=PlannedSets(hierarchy.sets))
    assert applied.kept
    kept = hierarchy.sets.get("des")
    assert (str(kept.id), kept.active, kept.reference.follows) == (SET_ID, applied.key, True)
    assert kept.placement == Placement("eastus2", SUBSCRIPTION)
    assert {"id": SET_ID, **to_arm(kept)} in applied.plan.planned
    again = apply_set(create(there), [online], keeper=PlannedSets(hierarchy.sets))
    assert (again.made, again.kept) == (False, True)
    assert hierarchy.sets.get("des").active == applied.key


def test_a_set_whose_key_is_rotated_moves_and_keeps_the_version_before(
    hierarchy: Hierarchy, online: keyhier.Vault, there: dict[str, Any]
) -> None:
    keeper = PlannedSets(hierarchy.sets)
    apply_set(create(there), [online], keeper=keeper)
    first = online.key("cmk")
    applied = apply_set(rotate(used(there, first), there), [online], keeper=keeper)
    kept = hierarchy.sets.get("des")
    assert (kept.active, kept.previous) == (applied.key, (first.id,))


def test_a_set_that_the_records_did_not_know_comes_with_the_version_before(
    hierarchy: Hierarchy, online: keyhier.Vault, there: dict[str, Any]
) -> None:
    first = online.create_key("cmk", "RSA-2048")
    request = rotate(used(there, first), there)
    applied = apply_set(request, [online], keeper=PlannedSets(hierarchy.sets))
    kept = hierarchy.sets.get("des")
    assert (kept.active, kept.previous) == (applied.key, (first.id,))
    assert kept.last_rotation is not None


def test_a_set_may_move_to_another_key(
    hierarchy: Hierarchy, online: keyhier.Vault, there: dict[str, Any]
) -> None:
    keeper = PlannedSets(hierarchy.sets)
    first = apply_set(create(there), [online], keeper=keeper).key
    other = online.create_key("other", "RSA-2048")
    request = rotate(used(there, online.key("cmk")), there, name="other", version=other.version)
    for _ in range(2):
        apply_set(request, [online], keeper=keeper)
        kept = hierarchy.sets.get("des")
        assert (kept.active, kept.previous) == (other.id, (first,))


def test_a_set_whose_key_is_in_another_vault_names_the_one_before_no_more(
    online: keyhier.Vault, store: SqlRecords, there: dict[str, Any]
) -> None:
    with keyhier.open("memory:") as memory, Hierarchy([online, memory], store) as hierarchy:
        apply_set(create(there), [online], keeper=PlannedSets(hierarchy.sets))
        first = hierarchy.sets.get("des")
        assert str(first.vault_id) == there["id"]
        elsewhere = memory.create_key("cmk", "RSA-2048")
        moved = hierarchy.sets.refer("des", KeyReference.pinned(elsewhere.id)).set
        assert (moved.vault_id, moved.active) == (None, elsewhere.id)
        back = KeyReference.following(first.active)
        assert hierarchy.sets.refer("des", back, vault_id=first.vault_id).set.vault_id
        assert hierarchy.sets.refer("des", back).set.vault_id == first.vault_id


@pytest.mark.parametrize("known", ["without an id", "with another key", "of another kind"])
def test_another_set_of_the_name_refuses_the_plan_before_a_key_is_made(
    known: str, hierarchy: Hierarchy, online: keyhier.Vault, there: dict[str, Any]
) -> None:
    name = "cmk" if known == "of another kind" else "own"
    own = online.create_key(name, "RSA-2048")
    keeper = PlannedSets(hierarchy.sets)
    if known == "without an id":
        hierarchy.sets.create("des", KeyReference.following(own.id))
    elif known == "of another kind":
        kind = EncryptionType.PLATFORM_AND_CUSTOMER_KEYS
        hierarchy.sets.add(attrs.evolve(from_arm(used(there, own)), encryption_type=kind))
    else:
        keeper.keep(rotate(used(there, own), there).present(), None)
    before = hierarchy.sets.get("des")
    with pytest.raises(AlreadyExistsError, match="another encryption set 'des'"):
        apply_set(create(there), [online], keeper=keeper)
    assert [key.name for key in list(online.keys())] == [name]
    assert hierarchy.sets.get("des") == before


def test_promise_10_the_hierarchys_policy_refuses_before_a_key_is_made(
    online: keyhier.Vault, store: SqlRecords, keyvault: KeyVault, there: dict[str, Any]
) -> None:
    host = keyvault.url.removeprefix("https://").rstrip("/")
    far = PlacementPolicy({host: Placement("westus", SUBSCRIPTION, TENANT)})
    before = keyvault.requests.count()
    with Hierarchy(online, store, policy=Policy(placement=far)) as hierarchy:
        with pytest.raises(PlacementError, match="cmk-vault-region"):
            apply_set(create(there), [online], keeper=PlannedSets(hierarchy.sets))
        assert hierarchy.sets.all() == []
    assert keyvault.requests.count() == before


def test_a_rehearsal_is_not_kept(store: SqlRecords) -> None:
    with keyhier.open("memory:") as memory, Hierarchy(memory, store) as hierarchy:
        applied = apply_set(create(), [memory], keeper=PlannedSets(hierarchy.sets))
        assert (applied.made, applied.rehearsed, applied.kept) == (True, True, False)
        assert hierarchy.sets.all() == []
