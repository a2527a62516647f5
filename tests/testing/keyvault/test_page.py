"""The page of the vault on loopback names tests, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

from keyhier.testing.keyvault import KeyVault

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PAGE = (ROOT / "docs" / "keyvault-on-loopback.md").read_text(encoding="utf-8")


def test_every_row_has_a_behaviour_a_source_and_tests_that_are_there() -> None:
    _, _, table = PAGE.partition("| behaviour | said by | shown by |")
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", table, re.MULTILINE)
    defined = {
        name
        for path in (*HERE.glob("test_*.py"), ROOT / "tests/integration/test_keyvault_node.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    named = [name for _, _, tests in rows[1:] for name in re.findall(r"`(\w+)`", tests)]
    assert len(rows) > 25
    assert len(named) >= len(rows) - 1
    assert set(named) <= defined


def test_every_route_is_named(keyvault: KeyVault, managed_hsm: KeyVault) -> None:
    routes = keyvault.faults.routes | managed_hsm.faults.routes
    _, _, named = PAGE.partition("Routes have these names:")
    names = set(re.findall(r"`(\w+)`", named.partition("##")[0]))
    assert names <= routes
    # Those of secrets are said to be as those of keys are.
    assert {route for route in routes - names if "secret" not in route} == set()
