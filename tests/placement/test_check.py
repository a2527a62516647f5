"""Each rule is broken alone by one scene and kept by another; nothing unknown passes."""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keyhier
from keyhier.errors import InvalidInputError, NotFoundError, PlacementError
from keyhier.placement import UNKNOWN, ArmId, Placement, Report, check_placement, rule_set
from keyhier.placement.model import NO_ADE, Resource, VaultReference, VaultResource
from keyhier.placement.unknown import Unknown
from tests.placement import scenes
from tests.placement.scenes import ELSEWHERE, HERE, SCENES

Scene = dict[str, Resource]
ADE_WARNING = {"ade-retires"}


def spoiled(scene: str, **changes: dict[str, Any]) -> Scene:
    resources = dict(SCENES[scene])
    for name, fields in changes.items():
        resources[name] = attrs.evolve(resources[name], **fields)
    return resources


def broken(scene: Scene, rules: str = "strict") -> set[str]:
    report = check_placement(scene.values(), rules)
    assert not report.not_checked
    return {violation.rule.id for violation in report.violations}


def in_other_subscription(identity: ArmId) -> ArmId:
    return attrs.evolve(identity, subscription=scenes.OTHER_SUBSCRIPTION)


def moved(scene: str, **names: ArmId) -> Scene:
    """Give resources another subscription, and let those who name them follow."""
    resources = dict(SCENES[scene])
    for name, identity in names.items():
        there = in_other_subscription(identity)
        resources[name] = attrs.evolve(resources[name], id=there)
        for other, resource in resources.items():
            resources[other] = replaced(resource, identity, there)
    return resources


def replaced(value: Any, old: ArmId, new: ArmId) -> Any:
    if value == old:
        return new
    if isinstance(value, tuple):
        return tuple(replaced(each, old, new) for each in value)
    if attrs.has(type(value)) and not isinstance(value, ArmId | Placement):
        fields = {f.name: getattr(value, f.name) for f in attrs.fields(type(value))}
        return attrs.evolve(value, **{k: replaced(v, old, new) for k, v in fields.items()})
    return value


SPOILED: dict[str, tuple[Scene, set[str]]] = {
    "ade-vault-region": (spoiled("ade", vault={"placement": ELSEWHERE}), ADE_WARNING),
    "ade-vault-subscription": (moved("ade", vault=scenes.VAULT_ID), ADE_WARNING),
    "ade-vault-enabled": (spoiled("ade", vault={"for_disk_encryption": False}), ADE_WARNING),
    "kek-vault-region": (spoiled("ade", kek_vault={"placement": ELSEWHERE}), ADE_WARNING),
    "kek-vault-subscription": (moved("ade", kek_vault=scenes.KEK_VAULT_ID), ADE_WARNING),
    "ade-retires": (dict(SCENES["ade"]), set()),
    "cmk-vault-region": (spoiled("cmk", vault={"placement": ELSEWHERE}), set()),
    "cmk-vault-subscription": (moved("cmk", vault=scenes.VAULT_ID), set()),
    "cmk-vault-tenant": (
        spoiled("cmk", vault={"placement": attrs.evolve(HERE, tenant=scenes.OTHER_TENANT)}),
        set(),
    ),
    "cmk-vault-purge-protection": (spoiled("cmk", vault={"purge_protection": False}), set()),
    "set-disk-region": (spoiled("cmk", data={"placement": ELSEWHERE}), set()),
    "set-disk-subscription": (moved("cmk", data=scenes.DATA_DISK_ID), set()),
    "set-vm-region": (spoiled("cmk", vm={"placement": ELSEWHERE}), set()),
    "set-vm-subscription": (moved("cmk", vm=scenes.VM_ID), set()),
    "set-snapshot-region": (spoiled("cmk", snapshot={"placement": ELSEWHERE}), set()),
    "set-snapshot-subscription": (moved("cmk", snapshot=scenes.SNAPSHOT_ID), set()),
    "snapshot-source-set": (spoiled("cmk", snapshot={"set_id": None}), set()),
    "disk-ade-and-cmk": (
        {
            **SCENES["ade"],
            "data": attrs.evolve(scenes.DATA_DISK, set_id=scenes.SET_ID),
            "set": scenes.SET,
        },
        ADE_WARNING,
    ),
    "disk-cmk-after-ade": (
        spoiled("cmk", data={"ade": attrs.evolve(NO_ADE, ever=True)}),
        set(),
    ),
    "snapshot-ade-and-cmk": (
        spoiled("cmk", snapshot={"ade": attrs.evolve(NO_ADE, enabled=True)}),
        set(),
    ),
    "snapshot-cmk-after-ade": (
        spoiled("cmk", snapshot={"ade": attrs.evolve(NO_ADE, ever=True)}),
        set(),
    ),
    "vm-ade-and-host-encryption": (spoiled("ade", vm={"host_encryption": True}), ADE_WARNING),
    "vm-host-encryption-after-ade": (
        spoiled("host", vm={"ade": scenes.ADE_OFF}),
        set(),
    ),
    "vm-unencrypted": (spoiled("host", vm={"host_encryption": False}), set()),
    "secret-vault-enabled": (spoiled("secret", vault={"for_deployment": False}), set()),
    "template-vault-enabled": (
        spoiled("secret", vault={"for_template_deployment": False}),
        set(),
    ),
}
OF_OTHER_SETS: dict[str, tuple[str, Scene, set[str]]] = {
    f"{kind}-vault-tenant": (
        "ade-tenant",
        spoiled("ade", **{name: {"placement": attrs.evolve(HERE, tenant=scenes.OTHER_TENANT)}}),
        ADE_WARNING,
    )
    for kind, name in (("ade", "vault"), ("kek", "kek_vault"))
}


@pytest.mark.parametrize("rule_id", [rule.id for rule in rule_set("strict")])
def test_a_rule_is_broken_alone(rule_id: str) -> None:
    scene, besides = SPOILED[rule_id]
    assert broken(scene) == {rule_id, *besides}


@pytest.mark.parametrize("rule_id", OF_OTHER_SETS)
def test_a_rule_of_another_set_is_broken_alone(rule_id: str) -> None:
    rules, scene, besides = OF_OTHER_SETS[rule_id]
    assert broken(scene, rules) == {rule_id, *besides}


@pytest.mark.parametrize("rules", ["strict", "today", "ade-tenant"])
def test_each_rule_is_kept_by_a_scene(rules: str) -> None:
    assert broken(SCENES["ade"], rules) == {"ade-retires"}
    assert broken(SCENES["cmk"], rules) == set()
    assert broken(SCENES["host"], rules) == set()
    assert broken(SCENES["secret"], rules) == set()
    kept = set().union(*(check_placement(each.values(), rules).kept for each in SCENES.values()))
    assert kept == {rule.id for rule in rule_set(rules)}


def test_today_allows_the_key_of_a_set_in_another_subscription() -> None:
    assert broken(moved("cmk", vault=scenes.VAULT_ID), "today") == set()


def test_the_relaxed_reading_allows_a_vault_in_another_subscription_of_the_tenant() -> None:
    assert broken(moved("ade", vault=scenes.VAULT_ID), "ade-tenant") == {"ade-retires"}


@pytest.mark.parametrize(
    ("user_assigned", "federated", "verdict"),
    [
        (True, True, set()),
        (True, False, {"cmk-vault-tenant"}),
        (False, True, {"cmk-vault-tenant"}),
    ],
)
def test_a_key_of_another_tenant_needs_an_identity_and_an_application(
    user_assigned: bool, federated: bool, verdict: set[str]
) -> None:
    other = attrs.evolve(HERE, tenant=scenes.OTHER_TENANT)
    identity = {"user_assigned": user_assigned, "federated_client": federated}
    assert broken(spoiled("cmk", vault={"placement": other}, set=identity)) == verdict


def test_every_violation_is_reported_and_not_only_the_first() -> None:
    scene = spoiled("ade", vault={"placement": ELSEWHERE, "for_disk_encryption": False})
    assert broken(scene) == {"ade-vault-region", "ade-vault-enabled", "ade-retires"}


def test_a_full_snapshot_may_have_a_set_of_its_own() -> None:
    other = attrs.evolve(scenes.SET, id=scenes.OTHER_SET_ID)
    full = {"set_id": scenes.OTHER_SET_ID, "incremental": False}
    assert broken({**spoiled("cmk", snapshot=full), "other": other}) == set()


def test_a_snapshot_of_a_snapshot_is_not_checked_and_says_of_what_it_is() -> None:
    copy = attrs.evolve(scenes.SNAPSHOT, id=scenes.COPY_ID, source_id=scenes.SNAPSHOT_ID)
    report = check_placement([*SCENES["cmk"].values(), copy])
    assert not report.errors
    (told,) = (each for each in report.not_checked if each.rule.id == "snapshot-source-set")
    assert told.missing == ("encryption-set of snapshot web-01-monday",)


def test_promise_10_the_report_says_what_was_compared_with_what() -> None:
    report = check_placement(spoiled("ade", vault={"placement": ELSEWHERE}).values())
    (error,) = report.errors
    assert [str(each) for each in error.compared] == [
        "region of VM web-01: eastus2",
        "region of vault contoso-kv: westeurope",
    ]
    with pytest.raises(PlacementError, match="region of vault contoso-kv: westeurope"):
        report.raise_for_errors()


def test_a_report_without_errors_raises_nothing() -> None:
    check_placement(SCENES["ade"].values()).raise_for_errors()


def test_an_error_does_not_grow_without_bounds() -> None:
    disks = [
        attrs.evolve(
            scenes.DATA_DISK,
            id=scenes.arm_id("Microsoft.Compute/disks", f"d{n}"),
            set_id=scenes.SET_ID,
            placement=ELSEWHERE,
        )
        for n in range(25)
    ]
    report = check_placement([*disks, scenes.SET, scenes.VAULT])
    assert len(report.errors) == 25
    with pytest.raises(PlacementError, match=r"25 placement rules are broken.*and 5 more"):
        report.raise_for_errors()


def test_a_vault_that_is_not_given_is_known_by_its_id_alone() -> None:
    scene = dict(SCENES["cmk"])
    del scene["vault"]
    report = check_placement(scene.values())
    assert not report.violations
    assert {each.rule.id for each in report.not_checked} == {
        "cmk-vault-region",
        "cmk-vault-tenant",
        "cmk-vault-purge-protection",
    }
    assert "cmk-vault-subscription" in report.kept


def test_a_vault_is_found_by_its_url() -> None:
    ade = attrs.evolve(
        scenes.ADE_ON, vault=VaultReference(host="https://CONTOSO-kv.vault.azure.net:443/")
    )
    scene = spoiled("ade", vm={"ade": ade}, vault={"placement": ELSEWHERE, "host": UNKNOWN})
    assert broken(scene) == {"ade-vault-region", "ade-retires"}


def test_two_places_of_one_name_are_not_one() -> None:
    token = VaultResource(name="disks", placement=Placement.site("eastus2"), host=UNKNOWN)
    ade = attrs.evolve(scenes.ADE_ON, vault=VaultReference(host="disks"), kek=None)
    token = attrs.evolve(token, host="disks", for_disk_encryption=True)
    scene: Scene = {**spoiled("ade", vm={"ade": ade}), "vault": token}
    report = check_placement(scene.values())
    (violation,) = report.errors
    assert violation.rule.id == "ade-vault-region"
    assert "cloud of vault disks: site" in [str(each) for each in violation.compared]


def test_a_region_that_is_not_known_here_is_told_by_its_name_alone() -> None:
    atlantis = attrs.evolve(scenes.HERE, region="atlantis", cloud="azure")
    report = check_placement(spoiled("ade", vm={"placement": atlantis}).values())
    (violation,) = (each for each in report.errors if each.rule.id == "ade-vault-region")
    assert [each.what for each in violation.compared] == ["region", "region"]


def test_sites_are_compared_like_regions() -> None:
    vault = VaultResource(
        name="disks",
        host="disks",
        placement=Placement.site("vienna", subscription="ours"),
        for_disk_encryption=True,
    )
    ade = attrs.evolve(scenes.ADE_ON, vault=VaultReference(host="disks"), kek=None)
    vm = attrs.evolve(
        scenes.VM, id=UNKNOWN, ade=ade, placement=Placement.site("Vienna", subscription="OURS")
    )
    assert broken({"vm": vm, "os": scenes.OS_DISK, "data": scenes.DATA_DISK, "v": vault}) == {
        "ade-retires"
    }


def test_an_unknown_region_is_a_warning_with_a_suggestion() -> None:
    scene = {
        name: attrs.evolve(each, placement=Placement("eastus22", tenant=scenes.TENANT))
        for name, each in SCENES["cmk"].items()
    }
    report = check_placement(scene.values())
    assert not report.violations
    assert not report.not_checked
    assert report.worst == "warning"
    assert "'eastus22' is no region of Azure that is known here; did you mean eastus2" in (
        report.notices[0].text
    )


def test_rules_that_do_not_exist_and_things_that_are_no_resources_are_refused() -> None:
    with pytest.raises(NotFoundError, match="there are ade-tenant, strict, today"):
        check_placement([], rules="lax")
    with pytest.raises(InvalidInputError, match="str is no resource"):
        check_placement(["vm"])  # type: ignore[list-item]  # This is what is refused.


def test_the_public_name_is_the_same_function() -> None:
    assert keyhier.check_placement is check_placement
    assert keyhier.Placement is Placement


# Metamorphic properties


def verdict(report: Report) -> tuple[object, ...]:
    return (
        {(v.rule.id, v.subject.casefold()) for v in report.violations},
        {(n.rule.id, n.subject.casefold()) for n in report.not_checked},
        report.kept,
        report.worst,
    )


ALL_SCENES = [
    *SCENES.values(),
    *(scene for scene, _ in SPOILED.values()),
    *(scene for _, scene, _ in OF_OTHER_SETS.values()),
]


def swapped_case(value: Any) -> Any:
    if isinstance(value, ArmId):
        return ArmId.parse(str(value).swapcase())
    if isinstance(value, Placement):
        fields = {f.name: getattr(value, f.name) for f in attrs.fields(Placement)}
        return Placement(
            **{k: v if isinstance(v, Unknown) else spelled(k, v) for k, v in fields.items()}
        )
    if isinstance(value, VaultReference):
        host = value.host if isinstance(value.host, Unknown) else value.host.upper()
        return VaultReference(swapped_case(value.id), host)
    if isinstance(value, tuple):
        return tuple(map(swapped_case, value))
    if attrs.has(type(value)):
        fields = {f.name: getattr(value, f.name) for f in attrs.fields(type(value))}
        return attrs.evolve(value, **{k: swapped_case(v) for k, v in fields.items()})
    return value


def spelled(field: str, text: str) -> str:
    return {"eastus2": "East US 2", "westeurope": "(Europe) West-Europe"}.get(text, text.upper())


@pytest.mark.parametrize("scene", ALL_SCENES)
def test_case_and_spelling_never_change_a_verdict(scene: Scene) -> None:
    before = check_placement(scene.values())
    after = check_placement([swapped_case(each) for each in scene.values()])
    assert verdict(after) == verdict(before)


@given(st.sampled_from(ALL_SCENES), st.randoms(use_true_random=False))
def test_the_order_of_resources_never_changes_a_verdict(
    scene: Scene, shuffler: random.Random
) -> None:
    resources = list(scene.values())
    before = verdict(check_placement(resources))
    shuffler.shuffle(resources)
    assert verdict(check_placement(resources)) == before


def unknowns(value: Any) -> list[Any]:
    """Return all that ``value`` may be when exactly one of its fields is not known."""
    found: list[Any] = []
    if isinstance(value, tuple):
        for n, each in enumerate(value):
            found += [(*value[:n], less, *value[n + 1 :]) for less in unknowns(each)]
        return found
    if not attrs.has(type(value)) or isinstance(value, ArmId):
        return found
    for field in attrs.fields(type(value)):
        inner = getattr(value, field.name)
        if "Maybe" in str(field.type) and inner is not UNKNOWN:
            found.append(attrs.evolve(value, **{field.name: UNKNOWN}))
        found += [attrs.evolve(value, **{field.name: less}) for less in unknowns(inner)]
    return found


@pytest.mark.parametrize("scene", ALL_SCENES)
@pytest.mark.parametrize("rules", ["strict", "ade-tenant"])
def test_making_a_field_unknown_never_turns_a_violation_into_a_pass(
    scene: Scene, rules: str
) -> None:
    before = {each.rule.id for each in check_placement(scene.values(), rules).violations}
    for name, resource in scene.items():
        for less in unknowns(resource):
            after = check_placement({**scene, name: less}.values(), rules)
            found = {each.rule.id for each in after.violations}
            assert before <= found | {each.rule.id for each in after.not_checked}, less
            assert found <= before


def test_unknown_is_neither_true_nor_false() -> None:
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(UNKNOWN)
    assert (str(UNKNOWN), repr(UNKNOWN)) == ("unknown", "UNKNOWN")


def test_what_is_kept_is_counted_and_not_listed() -> None:
    fleet = [
        attrs.evolve(
            scenes.VM,
            id=scenes.arm_id("Microsoft.Compute/virtualMachines", f"vm-{n}"),
            host_encryption=True,
            disks=(attrs.evolve(scenes.ATTACHED_OS, id=None),),
        )
        for n in range(500)
    ]
    report = check_placement(fleet)
    assert not report.violations
    assert not report.not_checked
    assert report.kept["vm-unencrypted"] == 500
