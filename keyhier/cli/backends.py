"""`keyhier backends`: what kinds of vault can be used here."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table

from keyhier.cli.session import Session, json_command
from keyhier.cli.text import printable
from keyhier.registry import registered_backends

__all__ = ["backends"]


@json_command
def backends(session: Session) -> None:
    """List the backends, whether they can be used here, and the URIs they take."""
    found = registered_backends()
    documents = []
    tables = []
    for each in found:
        description = each.backend.description if each.backend else None
        forms = each.backend.uri_forms if each.backend else ()
        documents.append(
            {
                "scheme": each.scheme,
                "description": description,
                "usable": each.unavailable is None,
                "unavailable": each.unavailable,
                "uri_forms": list(forms),
            }
        )
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", no_wrap=True, min_width=8)
        table.add_column(overflow="fold")
        table.add_row(f"{each.scheme}:", printable(description or each.target))
        state = "yes" if each.unavailable is None else f"no: {each.unavailable}"
        table.add_row("usable", printable(state))
        for form in forms:
            table.add_row("", printable(form))
        tables.append(table)
    session.show({"backends": documents}, Group(*tables))
