"""Plans for encryption sets: every scenario, and what refuses it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from keyhier.azure_disk.set_resource import EncryptionType
from keyhier.errors import (
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    PlacementError,
)
from keyhier.placement import ArmId
from keyhier.plans import Documents, NewSet, Phase, SetRequest, plan_set
from tests.plans.scenes import (
    CMK_URL,
    DISK_ID,
    FACTS,
    GROUP,
    HOST,
    SET_ID,
    TENANT,
    VERSION,
    disk,
    documents,
    encryption_set,
    key_of,
    machine,
    vault,
)
from tests.plans.test_ade import step

NEW = NewSet(id=ArmId.parse(SET_ID), location="eastus2")


def create(*contents: dict[str, Any], new: NewSet = NEW, **fields: Any) -> SetRequest:
    found = documents(*(contents or (vault(),)))
    return SetRequest(
        scenario="create", documents=found, new=new, key=key_of(found, "cmk", **fields)
    )


def rotate(*contents: dict[str, Any], name: str = "cmk", **fields: Any) -> SetRequest:
    found: Documents = documents(*(contents or (encryption_set(), vault())))
    return SetRequest(scenario="rotate-key", documents=found, key=key_of(found, name, **fields))


def attach(*contents: dict[str, Any], **fields: Any) -> SetRequest:
    found = documents(*(contents or (machine(), disk(), encryption_set(), vault())))
    fields.setdefault("facts", FACTS)
    return SetRequest(scenario="attach-disk", documents=found, **fields)


@pytest.mark.parametrize("request_", [create(), rotate(), attach()], ids=lambda r: r.scenario)
def test_every_scenario_has_a_plan_that_nothing_speaks_against(request_: SetRequest) -> None:
    plan = plan_set(request_)
    plan.raise_for_errors()
    assert plan.subject == "encryption set des"
    assert {each.phase for each in plan.steps} >= set(Phase) - {Phase.ACCESS}
    assert len({(each.phase, each.name) for each in plan.steps}) == len(plan.steps)
    assert plan == plan_set(request_)


def test_a_set_is_made_before_its_identity_is_granted_anything() -> None:
    plan = plan_set(create())
    names = [(each.phase, each.name) for each in plan.steps]
    assert names.index((Phase.DEPLOY, "set")) < names.index((Phase.ACCESS, "grant"))
    told = step(plan, Phase.DEPLOY, "set")
    assert told.command is not None
    assert f"--key-url https://{HOST}/keys/cmk/VERSION" in told.command
    assert told.resource is not None
    assert told.resource["properties"]["rotationToLatestKeyVersionEnabled"] is True
    grant = step(plan, Phase.ACCESS, "grant").command
    assert grant is not None
    assert grant.endswith('--query identity.principalId --output tsv)"')


def test_a_vault_of_another_subscription_is_not_named_in_the_set() -> None:
    other = vault()
    other["id"] = other["id"].replace("1111-1111", "2222-2222")
    today = attrs.evolve(create(other), rules="today")
    resource = step(plan_set(today), Phase.DEPLOY, "set").resource
    assert resource is not None
    assert "sourceVault" not in resource["properties"]["activeKey"]
    plan_set(today).raise_for_errors()
    with pytest.raises(PlacementError, match="cmk-vault-subscription"):
        plan_set(create(other)).raise_for_errors()


@pytest.mark.parametrize("rbac", [True, False])
def test_a_user_assigned_identity_is_granted_before_the_set_is_made(rbac: bool) -> None:
    identity = f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/me"
    new = attrs.evolve(NEW, user_identities=(ArmId.parse(identity),))
    plan = plan_set(create(vault(enableRbacAuthorization=rbac), new=new))
    granted = step(plan, Phase.ACCESS, "grant").command or ""
    assert f"az identity show --ids {identity} --query principalId" in granted
    assert ("az role assignment create" if rbac else "az keyvault set-policy") in granted
    names = [(each.phase, each.name) for each in plan.steps]
    assert names.index((Phase.ACCESS, "grant")) < names.index((Phase.DEPLOY, "set"))


def test_of_several_identities_nobody_knows_which_is_granted() -> None:
    identity = ArmId.parse(f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/me")
    others = attrs.evolve(identity, names=("you",))
    plan = plan_set(create(new=attrs.evolve(NEW, user_identities=(identity, others))))
    assert step(plan, Phase.ACCESS, "grant").command is None


def test_a_vault_of_another_tenant_grants_the_application() -> None:
    identity = f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/me"
    client = "44444444-4444-4444-4444-444444444444"
    new = attrs.evolve(NEW, user_identities=(ArmId.parse(identity),), federated_client_id=client)
    granted = step(plan_set(create(new=new)), Phase.ACCESS, "grant")
    assert f"az ad sp show --id {client} --query id" in (granted.command or "")
    assert "tenant of the vault" in granted.text


def test_a_vault_without_purge_protection_is_refused_with_the_way_out() -> None:
    plan = plan_set(create(vault(enablePurgeProtection=False)))
    assert "--enable-purge-protection" in (step(plan, Phase.ACCESS, "vault").command or "")
    with pytest.raises(PlacementError, match="cmk-vault-purge-protection"):
        plan.raise_for_errors()


def test_a_set_far_from_its_vault_is_refused() -> None:
    with pytest.raises(PlacementError, match="cmk-vault-region"):
        plan_set(create(vault("westus"))).raise_for_errors()


def test_a_vault_of_another_tenant_is_refused_where_the_sets_tenant_is_told() -> None:
    open_ = plan_set(create())
    assert "cmk-vault-tenant" in {each.rule.id for each in open_.placement.not_checked}
    plan_set(create(new=attrs.evolve(NEW, tenant=TENANT))).raise_for_errors()
    other = plan_set(create(new=attrs.evolve(NEW, tenant="9" + TENANT[1:])))
    with pytest.raises(PlacementError, match="cmk-vault-tenant"):
        other.raise_for_errors()
    resource = step(other, Phase.DEPLOY, "set").resource
    assert resource is not None
    assert "tenantId" not in resource["identity"]


def test_rotating_makes_a_version_and_can_go_back() -> None:
    plan = plan_set(rotate())
    assert (step(plan, Phase.KEYS, "cmk").command or "").startswith("keyhier key rotate cmk ")
    assert CMK_URL in (step(plan, Phase.UNDO, "set").command or "")
    assert CMK_URL in step(plan, Phase.UNDO, "keep").text
    following = rotate(encryption_set(rotationToLatestKeyVersionEnabled=True), vault())
    assert "within an hour" in step(plan_set(following), Phase.DEPLOY, "set").text
    pinned = plan_set(rotate(version="f" * 32))
    assert step(pinned, Phase.KEYS, "cmk").command is None


def test_a_rotation_that_runs_or_failed_is_told() -> None:
    running = encryption_set(previousKeys=[{"keyUrl": CMK_URL}])
    with pytest.raises(InvalidStateError, match="still rotating away"):
        plan_set(rotate(running, vault())).raise_for_errors()
    failed = encryption_set(autoKeyRotationError={"code": "KeyDisabled", "message": "it is"})
    plan = plan_set(rotate(failed, vault()))
    assert "set-rotation-error" in {each.check for each in plan.findings}
    with pytest.raises(InvalidStateError, match="already"):
        plan_set(rotate(version=VERSION)).raise_for_errors()


def test_disks_are_put_under_a_set_while_their_machine_is_deallocated() -> None:
    plan = plan_set(attach())
    assert [each.name for each in plan.steps_of(Phase.DEPLOY)] == [
        "stop-web-01",
        "disk-web-01-os",
        "start-web-01",
    ]
    second = disk() | {"id": f"{DISK_ID}-2", "name": "web-01-os-2"}
    phases = [each.phase for each in plan_set(attach(disk(), second, encryption_set())).steps]
    assert phases == sorted(phases, key=list(Phase).index)
    (own,) = (each for each in plan.planned if each["id"] == DISK_ID)
    assert own["properties"]["encryption"]["diskEncryptionSetId"] == SET_ID
    assert plan_set(attach(disks=("web-01-os",))).steps == plan.steps


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        ([machine(), disk(encryptionSettingsCollection={"enabled": True})], "disk-ade-and-cmk"),
        ([disk() | {"location": "westus"}], "set-disk-region"),
    ],
)
def test_a_disk_that_may_not_be_under_the_set_is_refused(
    contents: list[dict[str, Any]], told: str
) -> None:
    plan = plan_set(attach(*contents, encryption_set(), vault()))
    with pytest.raises(PlacementError, match=told):
        plan.raise_for_errors()


def test_a_confidential_machines_disk_gets_its_set_when_it_is_made() -> None:
    kind = encryption_set(encryptionType=EncryptionType.CONFIDENTIAL_VM.value)
    plan = plan_set(attach(disk(), kind, vault()))
    assert step(plan, Phase.DEPLOY, "disk-web-01-os").command is None
    with pytest.raises(InvalidStateError, match="when it is made"):
        plan.raise_for_errors()


def test_a_disk_of_a_scale_sets_machine_gets_its_set_in_the_model() -> None:
    kind = "Microsoft.Compute/virtualMachineScaleSets"
    instance = f"{GROUP}/{kind}/fleet/virtualMachines/0"
    owner = machine() | {"id": instance, "type": f"{kind}/virtualMachines"}
    with pytest.raises(InvalidStateError, match="gets its encryption set in its own model"):
        plan_set(attach(owner, disk(), encryption_set(), vault())).raise_for_errors()


def test_what_is_asked_for_has_to_fit_the_scenario() -> None:
    for odd in (
        attrs.evolve(create(), new=None),
        attrs.evolve(create(), key=None),
        attrs.evolve(rotate(), key=None),
        attrs.evolve(rotate(), new=NEW),
        attrs.evolve(attach(), key=create().key),
    ):
        with pytest.raises(InvalidInputError, match="a set is made of its description"):
            plan_set(odd)
    with pytest.raises(InvalidInputError, match="no disk"):
        plan_set(attach(encryption_set()))
    with pytest.raises(NotFoundError):
        plan_set(attach(encryption_set(), disk(), disks=("other",)))
