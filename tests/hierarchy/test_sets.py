"""Encryption sets: references, observation, placement, disks, and ARM's JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

import keyhier
from keyhier import (
    AlreadyExistsError,
    CapacityError,
    EncryptionSet,
    Hierarchy,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    KeyId,
    KeyReference,
    NotFoundError,
    PlacementError,
    Vault,
)
from keyhier.hierarchy.encryption_set import RotationError, SetIdentity
from keyhier.hierarchy.encryption_sets import MAX_SETS
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.set_arm import from_arm, to_arm
from keyhier.hierarchy.set_document import from_stored, to_stored
from keyhier.hierarchy.volume import Volume
from keyhier.placement import ArmId, Placement
from keyhier.placement.policy import PlacementPolicy
from keyhier.records import StoredSet
from keyhier.records.sql.store import SqlRecords
from tests.azure_disk import arm_schemas
from tests.hierarchy.conftest import DB, SECRET, WEB

CMK = KeyId.parse("memory:cmk")
IN_WEB = attrs.evolve(WEB, set="web")


@pytest.fixture
def following(hierarchy: Hierarchy) -> EncryptionSet:
    return hierarchy.sets.create("web", KeyReference.following(CMK))


# ---------------------------------------------------------------------- references


def test_a_reference_is_pinned_or_follows() -> None:
    exact = KeyId.parse("memory:cmk/1")
    assert KeyReference.pinned("memory:cmk/1") == KeyReference(exact)
    assert KeyReference.following(exact) == KeyReference(exact.versionless)
    assert [KeyReference(key).follows for key in (exact, exact.versionless)] == [False, True]
    assert "pinned" in str(KeyReference(exact))
    with pytest.raises(InvalidInputError, match="no version"):
        KeyReference.pinned("memory:cmk")


def test_a_set_knows_the_version_that_it_uses(
    hierarchy: Hierarchy, vault: Vault, following: EncryptionSet
) -> None:
    assert following.active == vault.key("cmk").id
    assert [each.key for each in following.sightings] == [following.active]
    assert hierarchy.sets.get("web") == following
    assert hierarchy.sets.all(CMK) == hierarchy.sets.all() == [following]
    with pytest.raises(AlreadyExistsError):
        hierarchy.sets.create("web", KeyReference.following(CMK))
    with pytest.raises(NotFoundError):
        hierarchy.sets.get("other")


@pytest.mark.parametrize("name", ["", "a b", "x" * 81, "ä"])
def test_a_name_is_one_that_azure_takes(name: str, hierarchy: Hierarchy) -> None:
    with pytest.raises(InvalidInputError, match="no name of a set"):
        hierarchy.sets.create(name, KeyReference.following(CMK))


def test_a_key_of_a_wrong_type_or_state_is_refused(hierarchy: Hierarchy, vault: Vault) -> None:
    create = hierarchy.sets.create
    with pytest.raises(InvalidInputError, match="AES-256, and the key of a set is RSA"):
        create("web", KeyReference.following("memory:aes"))
    with pytest.raises(NotFoundError):
        create("web", KeyReference.following("memory:other"))
    made = hierarchy.create_kek("mid", under="aes")
    with pytest.raises(InvalidInputError, match="root"):
        create("web", KeyReference.pinned(made.id))
    vault.key("cmk").disable()
    with pytest.raises(InvalidStateError, match="disabled"):
        create("web", KeyReference.following(CMK))
    assert hierarchy.sets.all() == []


# ---------------------------------------------------------------------- observation


def test_a_following_set_takes_a_new_version_up_and_a_pinned_one_does_not(
    hierarchy: Hierarchy, vault: Vault, following: EncryptionSet
) -> None:
    pinned = hierarchy.sets.create("pinned", KeyReference.pinned(following.active))
    record = hierarchy.protect(IN_WEB, SECRET)
    assert record.key == following.active
    assert hierarchy.observe("web").moved_from is None
    second = vault.key("cmk").rotate()
    seen = hierarchy.observe("web")
    assert (seen.set.active, seen.moved_from) == (second.id, following.active)
    assert seen.set.previous == (following.active,)
    assert seen.set.last_rotation is not None
    assert seen.settled_at == seen.set.last_rotation
    # Its disks were wrapped anew.
    assert seen.rotation is not None
    assert seen.rotation.complete
    assert hierarchy.records.get(record.id).key == second.id
    assert hierarchy.observe("pinned").set.active == pinned.active
    # The version before is one of its previous keys until the rotation is finalised.
    assert hierarchy.observe("web").set.previous == (following.active,)
    hierarchy.jobs.finalize(seen.rotation.job.id)
    after = hierarchy.observe("web")
    assert after.set.previous == ()
    assert [each.key for each in after.set.sightings] == [following.active, second.id]
    assert after.rotation is None


def test_a_version_that_cannot_be_used_is_noted_and_not_taken_up(
    hierarchy: Hierarchy, vault: Vault, following: EncryptionSet
) -> None:
    second = vault.key("cmk").rotate()
    second.disable()
    seen = hierarchy.sets.observe("web")
    assert seen.set.active == following.active
    assert seen.set.rotation_error is not None
    assert seen.set.rotation_error.code == "InvalidState"
    second.enable()
    assert hierarchy.sets.observe("web").set.rotation_error is None
    vault.key("cmk").delete(confirm="cmk")
    gone = hierarchy.sets.observe("web").set
    assert gone.active == second.id
    assert gone.rotation_error is not None


def test_a_set_can_refer_to_another_key(hierarchy: Hierarchy, vault: Vault) -> None:
    first = hierarchy.sets.create("web", KeyReference.following(CMK)).active
    other = vault.create_key("other", "RSA-2048")
    hierarchy.protect(IN_WEB, SECRET)
    changed = hierarchy.sets.refer("web", KeyReference.pinned(other.id)).set
    assert (changed.active, changed.previous) == (other.id, (first,))
    # It is leaving the key, which so is used still.
    assert hierarchy.census("cmk").of(first).sets == ("web",)
    with pytest.raises(InvalidInputError):
        hierarchy.sets.refer("web", KeyReference.following("memory:aes"))
    assert hierarchy.sets.get("web").active == other.id


def test_the_window_is_part_of_whether_a_version_is_needed(following: EncryptionSet) -> None:
    before, now = KeyId.parse("memory:cmk/1"), datetime.now(UTC)
    moved = attrs.evolve(following, last_rotation=now, previous=(before,))
    assert moved.needs(moved.active, 3600, now)
    assert moved.needs(before, 3600, now)
    settled = attrs.evolve(moved, previous=())
    assert "disks may use another until" in (settled.needs(before, 3600, now) or "")
    assert settled.needs(before, 3600, now + timedelta(hours=1)) is None
    assert settled.needs(KeyId.parse("memory:other/1"), 3600, now) is None
    assert following.settled_at(3600) is None


# ---------------------------------------------------------------------- disks


def test_disks_join_and_leave_and_are_in_one_set(
    hierarchy: Hierarchy, following: EncryptionSet
) -> None:
    hierarchy.sets.create("other", KeyReference.following(CMK))
    record = hierarchy.protect(WEB, SECRET, under="cmk")
    joined = hierarchy.sets.join(following.name, record)
    assert hierarchy.sets.join(following.name, joined) == joined
    with pytest.raises(InvalidStateError, match="a disk is in one set"):
        hierarchy.sets.join("other", joined)
    with pytest.raises(InvalidStateError):
        hierarchy.sets.delete("web")
    left = hierarchy.sets.leave(joined)
    assert left.set is None
    assert hierarchy.sets.leave(left) == left
    hierarchy.sets.delete("web")
    with hierarchy.recover(WEB) as secret:
        assert secret == SECRET


def test_what_is_in_a_set_is_under_its_key(
    hierarchy: Hierarchy, following: EncryptionSet, pins: dict[KeyId, str]
) -> None:
    with pytest.raises(InvalidStateError, match="not under the key of the set"):
        hierarchy.sets.join("web", hierarchy.protect(DB, SECRET, under="aes"))
    with pytest.raises(InvalidStateError, match="not under the key of the set"):
        hierarchy.protect(IN_WEB, SECRET, under="aes")
    below = hierarchy.create_kek("below", under="cmk")
    with pytest.raises(InvalidInputError, match="not of a disk"):
        hierarchy.sets.join("web", below.record)
    pins[below.id] = below.thumbprint
    assert hierarchy.protect(IN_WEB, SECRET, under="below").set == following.name
    with pytest.raises(NotFoundError):
        hierarchy.protect(Volume("a", "b", set="nothing"), SECRET)


# ---------------------------------------------------------------------- placement


def test_promise_10_placement_is_checked_before_a_key_is_used(store: SqlRecords) -> None:
    events: list[str] = []
    policy = Policy(placement=PlacementPolicy({"memory": Placement("westeurope", "a")}))
    with (
        keyhier.open("memory:", audit=lambda event: events.append(event.operation)) as vault,
        Hierarchy(vault, store, policy=policy) as hierarchy,
    ):
        vault.create_key("cmk", "RSA-2048")
        events.clear()
        with pytest.raises(PlacementError) as caught:
            hierarchy.sets.create(
                "web", KeyReference.following(CMK), placement=Placement("northeurope", "b")
            )
        assert "cmk-vault-region" in str(caught.value)
        assert "cmk-vault-subscription" in str(caught.value)
        hierarchy.sets.create(
            "web", KeyReference.following(CMK), placement=Placement("westeurope", "a")
        )
    # The vault may have been declared to be elsewhere since.
    moved = Policy(placement=PlacementPolicy({"memory": Placement("northeurope", "a")}))
    with keyhier.open("memory:") as vault, Hierarchy(vault, store, policy=moved) as hierarchy:
        with pytest.raises(PlacementError):
            hierarchy.protect(IN_WEB, SECRET)
        assert hierarchy.sets.observe("web").set.rotation_error is not None
    assert events == []


def test_where_it_is_allowed_a_violation_is_noted(vault: Vault, store: SqlRecords) -> None:
    vault.create_key("cmk", "RSA-2048")
    place = PlacementPolicy({"memory": Placement("westeurope", "a")}, enforcement="warn")
    with Hierarchy(vault, store, policy=Policy(placement=place)) as hierarchy:
        made = hierarchy.sets.create(
            "web", KeyReference.following(CMK), placement=Placement("northeurope", "a")
        )
    assert any("cmk-vault-region" in warning for warning in made.warnings)
    assert from_stored(to_stored(made)).warnings == made.warnings


def test_a_violation_that_came_later_is_noted_when_a_disk_is_protected(
    vault: Vault, store: SqlRecords
) -> None:
    vault.create_key("cmk", "RSA-2048")
    here = Placement("westeurope", "a")
    noted: list[int] = []
    for place in (here, Placement("northeurope", "a"), here):
        policy = PlacementPolicy({"memory": place}, enforcement="warn")
        with Hierarchy(vault, store, policy=Policy(placement=policy)) as hierarchy:
            if not hierarchy.sets.all():
                made = hierarchy.sets.create("web", KeyReference.following(CMK), placement=here)
                assert not any("cmk-vault-region:" in each for each in made.warnings)
            hierarchy.protect(IN_WEB, SECRET, replace=bool(noted))
            warnings = hierarchy.sets.get("web").warnings
            noted.append(sum(each.startswith("cmk-vault-region:") for each in warnings))
    assert noted == [0, 1, 0]


# ---------------------------------------------------------------------- as it is kept


def test_what_a_store_keeps_of_a_set_is_all_of_it(following: EncryptionSet) -> None:
    full = attrs.evolve(
        following,
        previous=(KeyId.parse("memory:cmk/1"),),
        last_rotation=datetime.now(UTC),
        rotation_error=RotationError("NotFound", "it is gone"),
        placement=Placement("westeurope", "a", "t"),
        id=SET_ID,
        vault_id=VAULT_ID,
        identity=SetIdentity(system=False, user=(IDENTITY,), federated_client_id="c"),
        warnings=("one",),
    )
    assert from_stored(to_stored(full)) == full


@pytest.mark.parametrize("document", [{}, {"active": 1}, {"active": "memory:cmk/1"}])
def test_what_somebody_else_wrote_is_an_error(document: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        from_stored(StoredSet(name="web", key=CMK, document=document))


# ---------------------------------------------------------------------- ARM

GROUP = "/subscriptions/s/resourceGroups/g/providers"
SET_ID = ArmId.parse(f"{GROUP}/Microsoft.Compute/diskEncryptionSets/web")
VAULT_ID = ArmId.parse(f"{GROUP}/Microsoft.KeyVault/vaults/contoso")
IDENTITY = ArmId.parse(f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/i")
URL = "https://contoso.vault.azure.net/keys/cmk/" + "0" * 31


def in_azure(**attributes: object) -> EncryptionSet:
    given = {
        "name": "web",
        "reference": KeyReference.following(f"{URL}2"),
        "active": KeyId.parse(f"{URL}2"),
        "placement": Placement("westeurope", "s"),
        "id": SET_ID,
        "vault_id": VAULT_ID,
        **attributes,
    }
    return EncryptionSet(**given)  # type: ignore[arg-type]  # Each test gives what fits.


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"reference": KeyReference.pinned(f"{URL}2")},
        {"identity": SetIdentity(system=True, user=(IDENTITY,), federated_client_id="c")},
        {"previous": (KeyId.parse(f"{URL}1"),), "last_rotation": datetime(2026, 1, 1, tzinfo=UTC)},
        {"rotation_error": RotationError("KeyNotFound", "gone"), "vault_id": None},
        {"encryption_type": "EncryptionAtRestWithPlatformAndCustomerKeys"},
        {"encryption_type": "ConfidentialVmEncryptedWithCustomerKey"},
    ],
)
def test_a_set_goes_to_arm_and_comes_back(attributes: dict[str, object]) -> None:
    made = in_azure(**attributes)
    assert from_arm(to_arm(made, state=True)) == made


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"encryption_type": "EncryptionAtRestWithPlatformAndCustomerKeys"},
        {"identity": SetIdentity(system=False, user=(IDENTITY,), federated_client_id="c")},
    ],
)
def test_what_is_made_is_valid_by_arms_schema(
    attributes: dict[str, object], material: Path
) -> None:
    document = to_arm(in_azure(**attributes))
    known = arm_schemas.registry(material / "azure" / "arm-schemas")
    place = "resourceDefinitions/diskEncryptionSets"
    arm_schemas.validate(known, "2026-03-02/Microsoft.Compute.json", place, document)
    assert document["properties"]["activeKey"]["keyUrl"] == f"{URL}2"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("Get_WithAutoKeyRotationError", "200"),
        ("Update_WithRotationToLatestKeyVersionEnabled", "200"),
        ("Update_WithRotationToLatestKeyVersionEnabled", "202"),
        ("Create_WithKeyVaultFromADifferentTenant", "200"),
    ],
)
def test_what_azure_answers_is_read_and_written_as_arms_schema_wants(
    name: str, status: str, material: Path
) -> None:
    folder = material / "azure" / "rest-api-specs-examples"
    text = (folder / f"DiskEncryptionSet_{name}.json").read_text()
    # Azure's examples have placeholders, and a real key's URL always has its version.
    for placeholder, value in (
        ("{subscriptionId}", "s"),
        ("{subscription-id}", "s"),
        ("keys/{key}", f"keys/cmk/{'0' * 32}"),
        ("keyName/keyVersion1", f"cmk/{'0' * 31}1"),
        ("keyName/KeyVersion2", f"cmk/{'0' * 31}2"),
        ("vault-int.azure-int.net", "vault.azure.net"),
    ):
        text = text.replace(placeholder, value)
    answered = json.loads(text)["responses"][status]["body"]
    read = from_arm(answered)
    written = to_arm(read)
    known = arm_schemas.registry(material / "azure" / "arm-schemas")
    place = "resourceDefinitions/diskEncryptionSets"
    arm_schemas.validate(known, "2026-03-02/Microsoft.Compute.json", place, written)
    assert from_arm(to_arm(read, state=True)) == read
    error = answered["properties"].get("autoKeyRotationError")
    assert (read.rotation_error and attrs.asdict(read.rotation_error)) == error
    assert (read.last_rotation is None) == ("lastKeyRotationTimestamp" not in str(answered))


def test_a_vault_in_another_subscription_is_not_named() -> None:
    elsewhere = ArmId.parse(str(VAULT_ID).replace("/s/", "/other/"))
    document = to_arm(in_azure(vault_id=elsewhere))
    assert "sourceVault" not in document["properties"]["activeKey"]


def test_what_is_not_in_azure_is_no_resource_of_it(following: EncryptionSet) -> None:
    with pytest.raises(InvalidInputError, match="no ARM id"):
        to_arm(following)
    document = to_arm(in_azure(), state=True)
    document["properties"]["lastKeyRotationTimestamp"] = "yesterday"
    with pytest.raises(InvalidInputError, match="no time"):
        from_arm(document)


def test_azure_takes_so_many_sets_in_a_region(hierarchy: Hierarchy, store: SqlRecords) -> None:
    wanted = attrs.evolve(
        hierarchy.sets.create("first", KeyReference.following(CMK)),
        id=SET_ID,
        placement=Placement("westeurope", "s"),
        name="web",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keyhier.hierarchy.encryption_sets.MAX_SETS", 1)
        hierarchy.sets.add(wanted)
        with pytest.raises(CapacityError):
            hierarchy.sets.add(attrs.evolve(wanted, name="more"))
    assert MAX_SETS == 5_000
