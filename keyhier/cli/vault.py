"""`keyhier vault`: a vault as a whole."""

from __future__ import annotations

from typing import Annotated, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from keyhier.cli.session import Session, vault_command
from keyhier.cli.text import printable
from keyhier.doctor import Diagnosis, Finding, Severity
from keyhier.errors import InvalidInputError
from keyhier.examination import examine

__all__ = ["EXIT_BY_SEVERITY", "app"]

EXIT_BY_SEVERITY: Final = {
    Severity.OK: 0,
    Severity.NOTE: 0,
    Severity.WARNING: 20,
    Severity.ERROR: 21,
}
"""What `keyhier vault doctor` ends with, by its worst finding."""

_STYLES: Final = {
    Severity.OK: "green",
    Severity.NOTE: "cyan",
    Severity.WARNING: "yellow",
    Severity.ERROR: "bold red",
}

app = typer.Typer(help="A vault as a whole.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Without a callback, Typer makes a group of one command that command."""


@app.command("doctor")
@vault_command
def doctor(
    session: Session,
    *,
    uri: Annotated[
        str | None, typer.Argument(metavar="[URI]", help="The vault; --vault says the same.")
    ] = None,
) -> None:
    """Examine a vault: what it can do, tried; what is on it; what to do about it.

    Nothing is changed, and no key of the vault's is used. Ends with 0 where the worst finding is a
    note, 20 where it is a warning, and 21 where it is an error.
    """
    if uri is not None and (session.settings.vault or session.settings.profile):
        raise InvalidInputError("the URI, --vault and --profile name a vault", remedy="give one")
    diagnosis = examine(uri or session.settings.vault_uri())
    session.show(diagnosis.as_dict(), _table(diagnosis))
    raise typer.Exit(EXIT_BY_SEVERITY[diagnosis.worst])


def _table(diagnosis: Diagnosis) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("found, and what to do about it", overflow="fold")
    for finding in diagnosis:
        state = finding.severity
        table.add_row(printable(finding.check), state.value, _text(finding), style=_STYLES[state])
    return table


def _text(finding: Finding) -> str:
    text = finding.found
    if finding.native:
        text += f" ({finding.native})"
    # The arrow is on a line of its own, so that what to do is found at a glance.
    return printable(text) + (f"\n→ {printable(finding.remedy)}" if finding.remedy else "")
