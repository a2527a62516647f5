"""Sets whose key is known by an id of old: they are judged by where the key is now.

The set and the vault that the id of old names are at one place; an alias leads to a key elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest

import keyhier
from keyhier import AuditEvent, Hierarchy, KeyId, KeyReference, PlacementError, Vault
from keyhier.azure_disk.set_resource import SetResource
from keyhier.hierarchy.encryption_set import EncryptionSet
from keyhier.hierarchy.planned_sets import PlannedSets
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.set_arm import from_arm
from keyhier.hierarchy.volume import Volume
from keyhier.placement import Placement
from keyhier.placement.policy import PlacementPolicy
from keyhier.plans import apply_set
from keyhier.records import Query
from keyhier.records.sql.store import SqlRecords
from keyhier.testing.keyvault import KeyVault
from keyhier.testing.softhsm import SoftHsmToken
from tests.azure.conftest import uri_of
from tests.hierarchy.conftest import SECRET
from tests.plans.scenes import CMK_URL, SUBSCRIPTION, TENANT, encryption_set, vault
from tests.plans.test_set import create

HERE = Placement("eastus2", SUBSCRIPTION, TENANT)
THERE = Placement("northeurope", "b", TENANT)
OLD = KeyId.parse(CMK_URL)
IN_DES = Volume("web-01", "C:", set="des")
REFUSED = "cmk-vault-region"


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def there(events: list[str]) -> Iterator[Vault]:
    """A vault elsewhere, with a key that records and sets know by an id of old."""
    with keyhier.open("memory:") as vault:
        new = vault.create_key("moved", "RSA-2048").id
        yield known_by(OLD, vault, new, events)


def known_by(
    old: KeyId, vault: Vault, new: KeyId | None = None, events: list[str] | None = None
) -> Vault:
    """The same vault, opened with an alias for its key."""

    def note(event: AuditEvent) -> None:
        if events is not None:
            events.append(event.operation)

    aliases = {old: new or vault.key("moved").id}
    return Vault(vault._opened.driver, uri="memory:", aliases=aliases, audit=note)


def placed(
    vaults: Vault | list[Vault],
    store: SqlRecords,
    *,
    place: Placement = THERE,
    here: KeyId = OLD,
    enforcement: str = "enforce",
    pins: dict[KeyId, str] | None = None,
) -> Hierarchy:
    """A hierarchy whose policy has the vault in memory there, and that of a key of old here."""
    policy = PlacementPolicy({"memory": place, here.vault: HERE}, enforcement=enforcement)
    return Hierarchy(vaults, store, policy=Policy(placement=policy, pins=pins or {}))


def made(vault: Vault, store: SqlRecords, reference: KeyReference | None = None) -> EncryptionSet:
    """A set that was made before anybody asked where its key is."""
    with Hierarchy(vault, store) as hierarchy:
        return hierarchy.sets.create("des", reference or KeyReference.pinned(OLD), placement=HERE)


# ---------------------------------------------------------------------- each way to a key


def test_promise_10_a_set_is_not_made_with_a_key_that_moved_elsewhere(
    there: Vault, store: SqlRecords, events: list[str]
) -> None:
    hierarchy = placed(there, store)
    with pytest.raises(PlacementError, match=REFUSED):
        hierarchy.sets.create("des", KeyReference.pinned(OLD), placement=HERE)
    assert hierarchy.sets.all() == []
    assert events == []
    kept = placed(there, store, place=HERE).sets.create(
        "des", KeyReference.pinned(OLD), placement=HERE
    )
    assert kept.active == there.key("moved").id


def test_promise_10_a_set_that_is_read_from_arm_is_refused_for_a_key_that_moved_elsewhere(
    there: Vault, store: SqlRecords
) -> None:
    hierarchy = placed(there, store)
    with pytest.raises(PlacementError, match=REFUSED):
        hierarchy.sets.add(from_arm(encryption_set()))
    assert hierarchy.sets.all() == []


def test_promise_10_a_set_does_not_come_to_refer_to_a_key_that_moved_elsewhere(
    there: Vault, store: SqlRecords
) -> None:
    with keyhier.open("memory:") as first:
        own = first.create_key("own", "RSA-2048").id
        before = made(first, store, KeyReference.pinned(own))
    hierarchy = placed(there, store)
    with pytest.raises(PlacementError, match=REFUSED):
        hierarchy.sets.refer("des", KeyReference.pinned(OLD))
    assert hierarchy.sets.get("des") == before


def test_promise_10_a_look_at_a_sets_key_says_that_it_moved_elsewhere(
    there: Vault, store: SqlRecords
) -> None:
    made(there, store)
    hierarchy = placed(there, store)
    seen = hierarchy.observe("des").set
    assert seen.rotation_error is not None
    assert seen.rotation_error.code == "Placement"
    assert REFUSED in seen.rotation_error.message


def test_promise_10_a_planned_set_is_refused_for_a_key_that_moved_elsewhere(
    there: Vault, store: SqlRecords
) -> None:
    planned = SetResource.parse(encryption_set())
    follows = attrs.evolve(planned, follow_latest=True)
    for each in (planned, follows):
        with pytest.raises(PlacementError, match=REFUSED):
            PlannedSets(placed(there, store).sets).require_allowed(each, None)
    PlannedSets(placed(there, store, place=HERE).sets).require_allowed(planned, None)


def test_promise_10_a_plan_is_not_kept_with_a_key_that_moved_elsewhere(
    there: Vault, store: SqlRecords, keyvault: KeyVault
) -> None:
    place = vault(host=keyvault.url.removeprefix("https://").rstrip("/"))
    with keyhier.open(uri_of(keyvault), credential=keyvault.credential()) as online:
        key = online.create_key("cmk", "RSA-2048").id
        again = known_by(key, there)
        request = create(place, version=key.version)
        for vaults in ([again, online], [online, again]):
            hierarchy = placed(vaults, store, here=key)
            with pytest.raises(PlacementError, match=REFUSED):
                apply_set(request, [online], keeper=PlannedSets(hierarchy.sets))
            assert hierarchy.sets.all() == []


def test_promise_10_a_vault_elsewhere_is_not_asked_for_the_key(
    there: Vault, store: SqlRecords
) -> None:
    with pytest.raises(PlacementError, match=REFUSED):
        placed(there, store).sets.create(
            "des", KeyReference.following("memory:not-there"), placement=HERE
        )


# ---------------------------------------------------------------------- the key is used


def test_promise_10_no_disk_is_protected_in_a_set_whose_key_has_moved_elsewhere_since(
    there: Vault, store: SqlRecords, softhsm_token: SoftHsmToken, events: list[str]
) -> None:
    with keyhier.open(softhsm_token.uri) as token:
        old = token.create_key("cmk", "RSA-2048").id
        made(token, store, KeyReference.pinned(old))
        again = known_by(old, there, events=events)
        # Where the key is also still at its old place, either may be the one that is used.
        for vaults in ([again], [again, token], [token, again]):
            hierarchy = placed(vaults, store, here=old)
            with pytest.raises(PlacementError, match=REFUSED):
                hierarchy.protect(IN_DES, SECRET)
        assert not store.count(Query())
        assert events == []
        hierarchy = placed([again, token], store, place=HERE, here=old)
        assert hierarchy.protect(IN_DES, SECRET).set == "des"


def test_promise_10_no_disk_is_protected_under_an_older_version_that_has_moved_elsewhere(
    there: Vault, store: SqlRecords, softhsm_token: SoftHsmToken, events: list[str]
) -> None:
    with keyhier.open(softhsm_token.uri) as token:
        first = token.create_key("cmk", "RSA-2048")
        made(token, store, KeyReference.following(first.rotate().id))
        again = known_by(first.id, there, events=events)
        below = Hierarchy(token, store).create_kek("below", under=first.id)
        pins = {below.id: below.thumbprint}
        hierarchy = placed([again, token], store, here=first.id, pins=pins)
        for under in (first.id, below.id):
            with pytest.raises(PlacementError, match=REFUSED):
                hierarchy.protect(IN_DES, SECRET, under=under)
        assert events == []
        # Not so under the version that the set uses.
        assert hierarchy.protect(IN_DES, SECRET).set == "des"


def test_a_latest_version_that_moved_elsewhere_is_not_taken_up(
    there: Vault, store: SqlRecords, softhsm_token: SoftHsmToken
) -> None:
    with keyhier.open(softhsm_token.uri) as token:
        first = token.create_key("cmk", "RSA-2048")
        made(token, store, KeyReference.following(first.id))
        again = known_by(first.rotate().id, there)
        hierarchy = placed([again, token], store, here=first.id)
        seen = hierarchy.sets.observe("des").set
        assert seen.active == first.id
        assert seen.rotation_error is not None
        assert REFUSED in seen.rotation_error.message


def test_a_rotation_is_not_gone_on_with_under_a_version_that_moved_elsewhere(
    there: Vault, store: SqlRecords, softhsm_token: SoftHsmToken
) -> None:
    with keyhier.open(softhsm_token.uri) as token:
        first = token.create_key("cmk", "RSA-2048")
        made(token, store, KeyReference.following(first.id))
        before = Hierarchy(token, store)
        record = before.protect(IN_DES, SECRET)
        second = first.rotate()
        # Its disks are yet to be wrapped anew.
        before.sets.observe("des")
        again = known_by(second.id, there)
        hierarchy = placed([again, token], store, here=first.id)
        with pytest.raises(PlacementError, match=REFUSED):
            hierarchy.observe("des")
        assert store.get(record.id).key == first.id


# ---------------------------------------------------------------------- what is noted


def test_where_it_is_allowed_it_is_noted_of_the_key_where_it_is(
    there: Vault, store: SqlRecords
) -> None:
    hierarchy = placed(there, store, enforcement="warn")
    kept = hierarchy.sets.add(from_arm(encryption_set()))
    assert any(each.startswith(f"{REFUSED}:") for each in kept.warnings)
    hierarchy.protect(IN_DES, SECRET)
    # Nothing that was noted changes by using it.
    assert hierarchy.sets.get("des") == kept


def test_a_key_that_moved_is_not_in_the_vault_that_the_set_names(
    there: Vault, store: SqlRecords
) -> None:
    nowhere_known = Placement("eastus2", tenant=TENANT)
    hierarchy = placed(there, store, place=nowhere_known)
    kept = hierarchy.sets.add(from_arm(encryption_set()))
    # The subscription of the vault that the key left tells nothing of the one where it is.
    assert any("cmk-vault-subscription was not checked" in each for each in kept.warnings)
    assert kept.vault_id is None
    hierarchy.protect(IN_DES, SECRET)
    assert hierarchy.sets.get("des").warnings == kept.warnings
