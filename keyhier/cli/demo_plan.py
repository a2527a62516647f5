"""The third act of `keyhier demo`: a plan refused before any key is made, then a good one."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any, Final

import attrs
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

import keyhier
from keyhier.cli.text import printable
from keyhier.errors import PlacementError
from keyhier.placement import report_text
from keyhier.placement.model import VaultResource
from keyhier.plans import (
    AdeRequest,
    Applied,
    Documents,
    Phase,
    Plan,
    PlannedKey,
    apply_ade,
    as_document,
    plan_ade,
)

__all__ = ["ActThree", "act_three", "third_act"]

_GROUP: Final = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers"
_TENANT: Final = "33333333-3333-3333-3333-333333333333"
_HERE: Final = "eastus2"
_ELSEWHERE: Final = "westus"
_KEK: Final = "disk-kek"
_WIDTH: Final = 78
_FACTS: Final = {"memory_gb": 16.0}

_MACHINE: Final[Mapping[str, Any]] = {
    "id": f"{_GROUP}/Microsoft.Compute/virtualMachines/web-01",
    "name": "web-01",
    "type": "Microsoft.Compute/virtualMachines",
    "location": _HERE,
    "properties": {
        "hardwareProfile": {"vmSize": "Standard_D4s_v5"},
        "storageProfile": {
            "imageReference": {
                "publisher": "Canonical",
                "offer": "0001-com-ubuntu-server-jammy",
                "sku": "22_04-lts-gen2",
            },
            "osDisk": {"name": "web-01-os", "osType": "Linux", "createOption": "FromImage"},
        },
    },
}


def _vault(location: str) -> Mapping[str, Any]:
    return {
        "id": f"{_GROUP}/Microsoft.KeyVault/vaults/contoso-kv",
        "name": "contoso-kv",
        "type": "Microsoft.KeyVault/vaults",
        "location": location,
        "properties": {
            "tenantId": _TENANT,
            "vaultUri": "https://contoso-kv.vault.azure.net/",
            "enabledForDiskEncryption": True,
            "enableRbacAuthorization": True,
        },
    }


def _request(location: str) -> AdeRequest:
    documents = Documents((_MACHINE, _vault(location)))
    kek = PlannedKey(name=_KEK, vault=documents.pick(VaultResource))
    return AdeRequest(scenario="enable-new", documents=documents, kek=kek, facts=_FACTS)


@attrs.frozen
class ActThree:
    """What came of the two plans.

    Attributes:
        refused: the plan with the vault in another region.
        error: what the refusal said, or None where there was none.
        asked: what the vault was asked for until then.
        applied: what was done of the corrected plan, in memory.
    """

    refused: Plan
    error: str | None
    asked: tuple[str, ...]
    applied: Applied

    @property
    def holds(self) -> bool:
        """Whether everything came out as it must."""
        return self.error is not None and not self.asked and self.applied.made

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "refused": as_document(self.refused),
            "error": self.error,
            "asked": list(self.asked),
            "corrected": as_document(self.applied.plan),
            "key": str(self.applied.key),
        }


def act_three() -> ActThree:
    """Apply a plan that a rule forbids, and then the same with the vault where it belongs."""
    asked: list[str] = []
    error = None
    with keyhier.open("memory:", audit=lambda event: asked.append(event.operation)) as vault:
        asked.clear()
        try:
            apply_ade(_request(_ELSEWHERE), [vault])
        except PlacementError as refusal:
            error = refusal.message
        until_then = tuple(asked)
        applied = apply_ade(_request(_HERE), [vault])
    return ActThree(plan_ade(_request(_ELSEWHERE)), error, until_then, applied)


def third_act(act: ActThree) -> RenderableType:
    """Return the picture of the act."""
    parts: list[RenderableType] = [
        "A plan to encrypt web-01, whose vault is in another region",
        *_report(act.refused),
        "",
        "The same with the vault where the machine is",
        _steps(act.applied.plan),
        "",
        _checks(act),
        "",
    ]
    return Group(*parts)


def _report(plan: Plan) -> list[Text]:
    errors = attrs.evolve(
        plan.placement, violations=plan.placement.errors, not_checked=(), notices=()
    )
    lines = report_text.as_text(errors).splitlines()[:-1]
    # Where the words come from is for a report; the pages are long to read here.
    return [
        Text(printable(part))
        for line in lines
        if not line.startswith("    source:")
        for part in wrap(line, _WIDTH, subsequent_indent="        ")
    ]


def _steps(plan: Plan) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(max_width=_WIDTH)
    for step in plan.steps:
        if step.phase is not Phase.CHECK:
            table.add_row(step.phase.value, printable(step.text))
    return table


def _checks(act: ActThree) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    refused = act.error is not None and not act.asked
    for holds, text in (
        (refused, "the first plan was refused, and the vault was asked for nothing"),
        (act.applied.made, f"the corrected plan made the KEK {act.applied.key}, here in memory"),
    ):
        style = "green" if holds else "bold red"
        table.add_row(Text("ok" if holds else "FAILED", style=style), printable(text))
    return table
