"""`keyhier ade inventory`: the disk secrets of a vault, and whether each can still be opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Group, RenderableType

from keyhier.azure_disk import (
    RETIREMENT,
    Item,
    Opening,
    is_disk_secret,
    take_inventory,
    typed_volume,
)
from keyhier.cli.ade_vaults import KekVaultOption, opened
from keyhier.cli.listing import Listing
from keyhier.cli.session import Session, vault_command
from keyhier.cli.text import moment, printable

if TYPE_CHECKING:
    from keyhier.stored_secret import StoredSecret
    from keyhier.vault import Vault

__all__ = ["EXIT_BY_OPENING", "inventory"]

EXIT_BY_OPENING: Final = {Opening.OPENS: 0, Opening.UNKNOWN: 20, Opening.LOST: 21}
"""What `keyhier ade inventory` ends with, by the worst that it found."""

# The columns of the list, and how soon each is left out on a narrow terminal.
_COLUMNS: Final = {"secret": 0, "state": 1, "machine": 2, "volume": 3, "KEK": 4, "made": 5}


@vault_command
def inventory(
    session: Session,
    *,
    kek_vault: KekVaultOption = None,
    all_versions: Annotated[
        bool, typer.Option("--all-versions", help="Every version, not only the latest.")
    ] = False,
) -> None:
    """List the disk secrets of a vault, what opens each, and whether that key version still can.

    No value is read and no key is used. Ends with 0 where all can be opened, 20 where that is not
    known of one, and 21 where one cannot.
    """
    with opened(session, session.settings.vault_uri(), kek_vault) as vaults:
        listed = _listed(vaults[0], all_versions=all_versions)
        items = list(take_inventory(listed, vaults))
    document = {
        "secrets": [_document(item) for item in items],
        "retirement": RETIREMENT.isoformat(),
    }
    session.show(document, _table(items) if items else "no secrets of Azure Disk Encryption")
    raise typer.Exit(max((EXIT_BY_OPENING[item.opening] for item in items), default=0))


def _listed(vault: Vault, *, all_versions: bool) -> Iterator[StoredSecret]:
    for stored in filter(is_disk_secret, vault.secrets.list()):
        if all_versions:
            yield from vault.secrets.versions(stored.id.name)
        else:
            yield stored


def _table(items: Sequence[Item]) -> RenderableType:
    rows = [
        (
            f"{item.stored.id.name}/{item.stored.id.version}",
            item.opening.value,
            printable((item.labels and item.labels.machine) or ""),
            printable(typed_volume(item.labels.volume if item.labels else None)),
            _kek(item),
            moment(item.stored.created) or "unknown",
        )
        for item in items
    ]
    reasons = [f"{item.stored.id.name}: {printable(item.reason)}" for item in items if item.reason]
    return Group(Listing(_COLUMNS, rows), *reasons)


def _kek(item: Item) -> str:
    labels = item.labels
    if labels is None or labels.kek is None:
        return "none" if labels is not None and labels.wrapped is False else "unknown"
    return printable(f"{labels.kek.id.name}/{labels.kek.id.version} ({labels.kek.algorithm})")


def _document(item: Item) -> dict[str, object]:
    labels = item.labels
    kek = None if labels is None else labels.kek
    return {
        "secret": str(item.stored.id),
        "state": item.opening.value,
        "reason": item.reason,
        "system": labels and labels.system,
        "machine": labels and labels.machine,
        "volume": labels and typed_volume(labels.volume),
        "wrapped": labels and labels.wrapped,
        "kek": None if kek is None else str(kek.id),
        "algorithm": None if kek is None else kek.algorithm,
        "created": moment(item.stored.created),
        "enabled": item.stored.enabled,
        "content_type": item.stored.content_type,
        "tags": dict(item.stored.tags),
    }
