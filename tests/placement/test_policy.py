"""PlacementPolicy: refused before any key operation, or recorded."""

from __future__ import annotations

import attrs
import pytest

from keyhier.errors import InvalidInputError, NotFoundError, PlacementError
from keyhier.placement import Placement
from keyhier.placement.model import Resource
from keyhier.placement.policy import Enforcement, PlacementPolicy
from tests.placement.scenes import CMK_SCENE, ELSEWHERE, HERE, SET, VAULT, VAULT_ID

HOST = "contoso-kv.vault.azure.net"
KEPT: list[Resource] = [SET, VAULT]
BROKEN: list[Resource] = [SET, attrs.evolve(VAULT, placement=ELSEWHERE)]


def test_what_keeps_the_rules_leaves_nothing_to_record() -> None:
    assert PlacementPolicy().judge(KEPT) == ()
    assert PlacementPolicy().judge(CMK_SCENE.values()) == ()


def test_promise_10_enforce_refuses_with_every_violation() -> None:
    far = Placement("westeurope", "22222222-2222-2222-2222-222222222222", HERE.tenant)
    moved = attrs.evolve(VAULT, placement=far)
    with pytest.raises(PlacementError) as refused:
        PlacementPolicy(enforcement=Enforcement.ENFORCE).judge([SET, moved])
    assert "cmk-vault-region" in refused.value.message
    assert "cmk-vault-subscription" in refused.value.message


def test_warn_records_what_enforce_refuses() -> None:
    (told,) = PlacementPolicy(enforcement=Enforcement("warn")).judge(BROKEN)
    assert told.startswith("cmk-vault-region: ")
    assert "region of vault contoso-kv: westeurope" in told


@pytest.mark.parametrize("enforcement", Enforcement)
def test_what_is_unknown_is_recorded_and_not_refused(enforcement: Enforcement) -> None:
    policy = PlacementPolicy(enforcement=enforcement)
    told = policy.judge([SET, policy.vault(HOST, VAULT_ID)])
    assert any(each.startswith("cmk-vault-region was not checked") for each in told)


def test_vaults_are_where_they_were_declared() -> None:
    policy = PlacementPolicy({HOST: HERE, "disks": Placement.site("vienna")})
    assert policy.vault(HOST).placement == HERE
    assert policy.vault("disks").placement == Placement.site("vienna")
    assert policy.vault("elsewhere").placement == Placement()
    with pytest.raises(PlacementError, match="cmk-vault-region"):
        PlacementPolicy({HOST: ELSEWHERE}).judge(
            [SET, PlacementPolicy({HOST: ELSEWHERE}).vault(HOST, VAULT_ID)]
        )


def test_the_case_of_a_host_does_not_count_and_that_of_a_token_does() -> None:
    policy = PlacementPolicy({HOST.upper(): HERE, "Disks": HERE})
    assert policy.vault(HOST).placement == policy.vault(HOST.title()).placement == HERE
    assert policy.vault("Disks").placement == HERE
    assert policy.vault("disks").placement == Placement()
    with pytest.raises(InvalidInputError, match="twice"):
        PlacementPolicy({HOST.upper(): HERE, HOST: ELSEWHERE})


def test_rules_of_an_unknown_name_are_an_error() -> None:
    with pytest.raises(NotFoundError):
        PlacementPolicy(rules="lax").judge(KEPT)
