"""Volumes: their machine is to be where the rules want the vault of their KEK, or their set."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest

import keyhier
from keyhier import AuditEvent, Hierarchy, InvalidInputError, KeyId, PlacementError, Vault
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.protection import WARNINGS
from keyhier.hierarchy.volume import Volume
from keyhier.placement import ArmId, Placement
from keyhier.placement.place import NOWHERE
from keyhier.placement.policy import PlacementPolicy
from keyhier.records import Query
from keyhier.records.record import Record
from keyhier.records.sql.store import SqlRecords
from keyhier.testing.softhsm import SoftHsmToken
from tests.hierarchy.conftest import SECRET

HERE = Placement("westeurope", "a", "t")
THERE = Placement("northeurope", "b", "t")
BROKEN = {"kek-vault-region", "kek-vault-subscription"}
WEB = Volume("web-01", "C:")


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def audited(events: list[str]) -> Iterator[Vault]:
    def note(event: AuditEvent) -> None:
        events.append(event.operation)

    with keyhier.open("memory:", audit=note) as vault:
        vault.create_key("aes", "AES-256")
        events.clear()
        yield vault


def placed(vault: Vault, store: SqlRecords, **given: object) -> Hierarchy:
    policy = PlacementPolicy(**{"vaults": {"memory": HERE}, **given})  # type: ignore[arg-type]  # Of any kind.
    return Hierarchy(vault, store, policy=Policy(placement=policy))


def noted(record: Record) -> set[str]:
    """Return the rules of which something is noted in a record."""
    return {each.partition(":")[0] for each in record.details.get(WARNINGS, ())}


UNSURE = {f"{rule} was not checked" for rule in BROKEN}


@pytest.mark.parametrize(
    ("volume", "declared"),
    [
        (WEB, {"WEB-01": THERE}),
        (Volume("web-01", "C:", placement=THERE), {}),
        # Where two contradict each other, neither hides what the other breaks.
        (Volume("web-01", "C:", placement=HERE), {"web-01": THERE}),
        (Volume("web-01", "C:", placement=THERE), {"web-01": HERE}),
        # Each tells a part.
        (
            Volume("web-01", "C:", placement=Placement("NORTH EUROPE")),
            {"web-01": Placement(subscription="B")},
        ),
    ],
)
def test_promise_10_a_volume_is_refused_before_its_kek_is_used(
    volume: Volume,
    declared: dict[str, Placement],
    audited: Vault,
    store: SqlRecords,
    events: list[str],
) -> None:
    hierarchy = placed(audited, store, machines=declared)
    with pytest.raises(PlacementError) as refused:
        hierarchy.protect(volume, SECRET, under=KeyId.parse("memory:aes"))
    for rule in BROKEN:
        assert rule in refused.value.message
    assert "VM web-01" in refused.value.message
    assert not store.count(Query())
    assert events == []


@pytest.mark.parametrize("enforcement", ["enforce", "warn"])
def test_a_volume_that_keeps_the_rules_leaves_nothing_to_note(
    enforcement: str, audited: Vault, store: SqlRecords
) -> None:
    hierarchy = placed(audited, store, machines={"web-01": HERE}, enforcement=enforcement)
    assert not hierarchy.protect(WEB, SECRET, under="aes").details


def test_where_it_is_allowed_a_violation_is_kept_in_the_record(
    audited: Vault, store: SqlRecords
) -> None:
    hierarchy = placed(audited, store, machines={"web-01": THERE}, enforcement="warn")
    record = hierarchy.protect(WEB, SECRET, under="aes")
    assert noted(store.get(record.id)) == BROKEN
    with hierarchy.recover(WEB) as secret:
        assert secret == SECRET
    moved = placed(audited, store, machines={"web-01": HERE}, enforcement="warn")
    assert not noted(moved.protect(WEB, SECRET, under="aes", replace=True))


@pytest.mark.parametrize("enforcement", ["enforce", "warn"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"machines": {"web-02": THERE}},
        {"machines": {"web-01": THERE}, "vaults": {}},
        {"machines": {"web-01": THERE}, "vaults": {"disks": HERE}},
    ],
)
def test_what_is_unknown_is_noted_as_not_checked_and_not_refused(
    given: dict[str, object], enforcement: str, audited: Vault, store: SqlRecords
) -> None:
    hierarchy = placed(audited, store, **given, enforcement=enforcement)
    assert noted(hierarchy.protect(WEB, SECRET, under="aes")) == UNSURE


def test_making_a_part_unknown_turns_a_violation_into_what_was_not_checked(
    audited: Vault, store: SqlRecords
) -> None:
    machines = {"web-01": Placement(subscription="b")}
    hierarchy = placed(audited, store, machines=machines, enforcement="warn")
    found = noted(hierarchy.protect(WEB, SECRET, under="aes"))
    assert found == {"kek-vault-subscription", "kek-vault-region was not checked"}


def test_a_kek_in_a_record_is_where_the_key_above_it_is(
    audited: Vault, store: SqlRecords, events: list[str]
) -> None:
    Hierarchy(audited, store).create_kek("below", under="aes")
    events.clear()
    hierarchy = placed(audited, store, machines={"web-01": THERE})
    with pytest.raises(PlacementError, match="kek-vault-region"):
        hierarchy.protect(WEB, SECRET, under=KeyId.parse("record:keys/below"))
    assert events == []


@pytest.mark.parametrize("in_record", [False, True])
def test_a_key_that_moved_is_where_it_is_now_and_not_where_its_id_of_old_says(
    in_record: bool, softhsm_token: SoftHsmToken, vault: Vault, store: SqlRecords
) -> None:
    old = vault.create_key("aes", "AES-256").id
    Hierarchy(vault, store).create_kek("below", under=old)
    with keyhier.open(softhsm_token.uri) as token:
        new = token.create_key("aes", "AES-256").id
    places = {"memory": THERE, new.vault: HERE}
    policy = Policy(placement=PlacementPolicy(places, machines={"web-01": THERE}))
    under = KeyId.parse("record:keys/below") if in_record else old
    with keyhier.open(softhsm_token.uri, aliases={str(old): str(new)}) as moved:
        hierarchy = Hierarchy(moved, store, policy=policy)
        with pytest.raises(PlacementError, match="kek-vault-region"):
            hierarchy.protect(WEB, SECRET, under=under)
        # Where the key is also still at its old place, either may be the one that is used.
        for vaults in ((vault, moved), (moved, vault)):
            with pytest.raises(PlacementError, match="kek-vault-region"):
                Hierarchy(vaults, store, policy=policy).protect(WEB, SECRET, under=under)


# ---------------------------------------------------------------------- volumes in a set


OF_SET = {"set-vm-region", "set-vm-subscription"}
OF_WEB = attrs.evolve(WEB, set="web")


def in_set(vault: Vault, store: SqlRecords, place: Placement = HERE, **given: object) -> Hierarchy:
    """A hierarchy with a set in a place."""
    vault.create_key("cmk", "RSA-2048")
    reference = keyhier.KeyReference.following(KeyId.parse("memory:cmk"))
    Hierarchy(vault, store).sets.create("web", reference, placement=place)
    return placed(vault, store, **given)


@pytest.mark.parametrize(
    ("told", "declared"),
    [
        (NOWHERE, {"WEB-01": THERE}),
        (THERE, {}),
        (HERE, {"web-01": THERE}),
        (THERE, {"web-01": HERE}),
        (Placement("NORTH EUROPE"), {"web-01": Placement(subscription="B")}),
    ],
)
def test_promise_10_a_volume_is_refused_where_its_set_is_not_before_the_key_is_used(
    told: Placement,
    declared: dict[str, Placement],
    audited: Vault,
    store: SqlRecords,
    events: list[str],
) -> None:
    hierarchy = in_set(audited, store, machines=declared)
    events.clear()
    with pytest.raises(PlacementError) as refused:
        hierarchy.protect(attrs.evolve(OF_WEB, placement=told), SECRET)
    for rule in OF_SET:
        assert rule in refused.value.message
    assert "VM web-01" in refused.value.message
    assert "encryption set web" in refused.value.message
    assert not store.count(Query())
    assert "wrap" not in events


def test_a_volume_where_its_set_is_leaves_nothing_to_note(vault: Vault, store: SqlRecords) -> None:
    hierarchy = in_set(vault, store, machines={"web-01": HERE})
    # Its KEK's vault is the matter of the set, wherever the machine is.
    assert not hierarchy.protect(OF_WEB, SECRET).details


def test_where_it_is_allowed_a_volume_far_from_its_set_is_noted_in_the_record(
    vault: Vault, store: SqlRecords
) -> None:
    hierarchy = in_set(vault, store, machines={"web-01": THERE}, enforcement="warn")
    record = hierarchy.protect(OF_WEB, SECRET)
    assert noted(store.get(record.id)) == OF_SET


@pytest.mark.parametrize(
    ("place", "machines"), [(HERE, {}), (NOWHERE, {"web-01": HERE}), (NOWHERE, {})]
)
def test_where_nobody_knows_the_set_or_the_machine_it_is_noted_as_not_checked(
    place: Placement, machines: dict[str, Placement], vault: Vault, store: SqlRecords
) -> None:
    hierarchy = in_set(vault, store, place, machines=machines)
    found = noted(hierarchy.protect(OF_WEB, SECRET))
    assert found == {f"{rule} was not checked" for rule in OF_SET}


OF_CMK = {"cmk-vault-region", "cmk-vault-subscription"}


@pytest.mark.parametrize(
    ("place", "told", "declared"),
    [
        (NOWHERE, NOWHERE, {"WEB-01": THERE}),
        (NOWHERE, THERE, {}),
        (NOWHERE, HERE, {"web-01": THERE}),
        (NOWHERE, THERE, {"web-01": HERE}),
        # What is known of the set is kept.
        (Placement(tenant="t"), THERE, {}),
    ],
)
def test_promise_10_a_set_of_unknown_place_is_where_its_machines_are_before_its_key_is_used(
    place: Placement,
    told: Placement,
    declared: dict[str, Placement],
    audited: Vault,
    store: SqlRecords,
    events: list[str],
) -> None:
    hierarchy = in_set(audited, store, place, machines=declared)
    events.clear()
    with pytest.raises(PlacementError) as refused:
        hierarchy.protect(attrs.evolve(OF_WEB, placement=told), SECRET)
    for rule in OF_CMK:
        assert rule in refused.value.message
    assert "encryption set web" in refused.value.message
    assert not store.count(Query())
    assert events == []


def test_promise_10_a_set_of_unknown_place_holds_no_kek_below_a_key_far_from_its_machine(
    audited: Vault, store: SqlRecords, events: list[str]
) -> None:
    hierarchy = in_set(audited, store, NOWHERE, machines={"web-01": THERE})
    Hierarchy(audited, store).create_kek("below", under="cmk")
    events.clear()
    with pytest.raises(PlacementError, match="cmk-vault-region"):
        hierarchy.protect(OF_WEB, SECRET, under=KeyId.parse("record:keys/below"))
    assert events == []


def test_where_it_is_allowed_a_set_of_unknown_place_far_from_its_key_is_noted_in_the_record(
    vault: Vault, store: SqlRecords
) -> None:
    hierarchy = in_set(vault, store, NOWHERE, machines={"web-01": THERE}, enforcement="warn")
    record = hierarchy.protect(OF_WEB, SECRET)
    unsure = {f"{rule} was not checked" for rule in OF_SET}
    assert noted(store.get(record.id)) == OF_CMK | unsure


def test_a_set_in_azure_is_in_the_subscription_of_its_id(vault: Vault, store: SqlRecords) -> None:
    hierarchy = in_set(vault, store, machines={"web-01": THERE})
    kind = "providers/Microsoft.Compute/diskEncryptionSets/azure"
    sets = Hierarchy(vault, store).sets
    identity = ArmId.parse(f"/subscriptions/a/resourceGroups/shop/{kind}")
    sets.add(attrs.evolve(sets.get("web"), name="azure", id=identity, placement=NOWHERE))
    with pytest.raises(PlacementError, match="set-vm-subscription"):
        hierarchy.protect(attrs.evolve(OF_WEB, set="azure"), SECRET)
    # And not in that of the machine, in whose region it is.
    warned = placed(vault, store, machines={"web-01": THERE}, enforcement="warn")
    found = noted(warned.protect(attrs.evolve(OF_WEB, set="azure"), SECRET))
    assert found == {"set-vm-subscription", "set-vm-region was not checked", "cmk-vault-region"}


# ---------------------------------------------------------------------- nobody asks


def test_without_a_policy_nobody_asks(audited: Vault, store: SqlRecords) -> None:
    volume = Volume("web-01", "C:", placement=THERE)
    assert not Hierarchy(audited, store).protect(volume, SECRET, under="aes").details


def test_a_key_is_recovered_wherever_it_is(audited: Vault, store: SqlRecords) -> None:
    Hierarchy(audited, store).protect(WEB, SECRET, under="aes")
    with placed(audited, store, machines={"web-01": THERE}).recover(WEB) as secret:
        assert secret == SECRET


def test_a_machine_is_declared_once() -> None:
    with pytest.raises(InvalidInputError, match="twice"):
        PlacementPolicy(machines={"web-01": HERE, "WEB-01": THERE})
