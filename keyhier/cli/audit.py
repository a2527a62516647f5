"""`keyhier audit`: the log of what was done with which key."""

from __future__ import annotations

from typing import Annotated

import typer

from keyhier.audit_chain import MAX_LINE_BYTES, Head, Verification
from keyhier.cli import files
from keyhier.cli.failure import EXIT_CODES
from keyhier.cli.session import Session, json_command
from keyhier.cli.text import counted, printable
from keyhier.errors import IntegrityError

__all__ = ["app"]

app = typer.Typer(help="The log of what was done with which key.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Without a callback, Typer makes a group of one command that command."""


@app.command("verify")
@json_command
def verify(
    session: Session,
    *,
    sources: Annotated[
        list[str], typer.Argument(metavar="FILE…", help="The log's files, the oldest first.")
    ],
    head: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HEAD",
            help="A head that was kept elsewhere, which the log must reach; may be repeated.",
        ),
    ] = None,
) -> None:
    """Look for lines that were changed, taken out or moved; ends with 14 where there are any.

    A log that was shortened, or hashed anew, shows only against a head that was kept elsewhere.
    """
    verification = Verification.against(map(Head.parse, head or ()))
    for source in sources:
        with files.lines_of(source, limit=MAX_LINE_BYTES) as lines:
            verification.read(source, lines)
    verification.finish()
    session.show(_document(verification), _text(verification))
    if verification.problems:
        raise typer.Exit(EXIT_CODES[IntegrityError])


def _document(verification: Verification) -> dict[str, object]:
    return {
        "entries": verification.entries,
        "problems": [
            {"file": problem.file, "line": problem.line, "text": problem.text}
            for problem in verification.problems
        ],
        "unfinished": sorted(verification.unfinished.values()),
        "heads": [str(head) for head in verification.heads.values()],
    }


def _text(verification: Verification) -> str:
    lines = [str(problem) for problem in verification.problems]
    lines += [
        f"{place}: an operation that did not end here" for place in verification.unfinished.values()
    ]
    lines += [f"head {head}" for head in verification.heads.values()]
    found = len(verification.problems)
    problems = counted(found, "problem") if found else "no problems"
    lines.append(f"{counted(verification.entries, 'entry')}, {problems}")
    return "\n".join(map(printable, lines))
