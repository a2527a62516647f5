"""Where vaults are by declaration: fills what is unknown, and hides nothing."""

from __future__ import annotations

import attrs
import pytest

from keyhier.placement import UNKNOWN, Placement, check_placement
from keyhier.placement.declared import with_declared
from keyhier.placement.model import Resource
from tests.placement.scenes import CMK_SCENE, ELSEWHERE, HERE, VAULT

HOST = "contoso-kv.vault.azure.net"
BARE = attrs.evolve(VAULT, id=UNKNOWN, name="contoso-kv", host=UNKNOWN, placement=Placement())


def broken(vaults: list[Resource], places: dict[str, Placement]) -> tuple[set[str], set[str]]:
    """Return the rules that are broken and those that are open for a set's vault."""
    others = [each for name, each in CMK_SCENE.items() if name != "vault"]
    report = check_placement(with_declared([*others, *vaults], places))
    return (
        {each.rule.id for each in report.violations if each.rule.id.startswith("cmk-vault")},
        {each.rule.id for each in report.not_checked if each.rule.id.startswith("cmk-vault")},
    )


def test_what_a_document_does_not_tell_is_taken_from_the_declaration() -> None:
    told = attrs.evolve(VAULT, placement=Placement())
    assert broken([told], {})[1]
    assert broken([told], {HOST.upper(): HERE}) == (set(), set())
    assert broken([told], {HOST: ELSEWHERE})[0] == {"cmk-vault-region"}


def test_a_declaration_that_contradicts_a_document_does_not_hide_it_nor_the_other_way() -> None:
    assert broken([VAULT], {HOST: ELSEWHERE})[0] == {"cmk-vault-region"}
    moved = attrs.evolve(VAULT, placement=ELSEWHERE)
    assert broken([moved], {HOST: HERE})[0] == {"cmk-vault-region"}
    assert broken([VAULT], {HOST: HERE}) == (set(), set())


def test_a_vault_without_a_document_keeps_the_subscription_that_its_id_tells() -> None:
    places = {HOST: Placement(HERE.region, tenant=HERE.tenant)}
    assert broken([], places) == (set(), {"cmk-vault-purge-protection"})


@pytest.mark.parametrize("order", [1, -1])
def test_a_vault_that_two_declarations_may_mean_is_filled_by_neither(order: int) -> None:
    both = [(HOST, HERE), ("contoso-kv.vault.azure.cn", Placement("chinaeast"))][::order]
    (vault, *others) = with_declared([BARE], dict(both))
    assert vault == BARE
    assert len(others) == 2


def test_what_is_no_host_is_no_vault_of_azure() -> None:
    assert with_declared([VAULT], {"contoso-kv": ELSEWHERE, "memory": ELSEWHERE}) == [VAULT]
