"""`keyhier census` and `keyhier retire`: who needs a key version, and its end."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Group, RenderableType

from keyhier.cli.hierarchy import open_hierarchy
from keyhier.cli.listing import Listing
from keyhier.cli.session import Session, hierarchy_command
from keyhier.cli.text import printable
from keyhier.errors import InvalidInputError, InvalidStateError
from keyhier.hierarchy.census import Census

__all__ = ["census", "reinstate", "retire"]

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="A key's name or id.")]
VersionOption = Annotated[
    str | None, typer.Option(metavar="VERSION", help="The version, where the id names none.")
]


@hierarchy_command
def census(session: Session, *, key: KeyArgument) -> None:
    """Say what still needs each version of a key, by set and machine."""
    with open_hierarchy(session, read_only=True) as hierarchy:
        found = hierarchy.census(key)
    session.show(found.as_dict(), _picture(found))


@hierarchy_command
def retire(
    session: Session,
    *,
    key: KeyArgument,
    version: VersionOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the window.")] = False,
    delete: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Delete the whole key, whose versions are all retired; its name again.",
        ),
    ] = None,
) -> None:
    """Let nothing new use a version, and disable it once nothing needs it."""
    with open_hierarchy(session) as hierarchy:
        if delete is not None:
            if version is not None or wait:
                raise InvalidInputError("--delete takes the whole key, at once")
            hierarchy.delete_key(key, confirm=delete)
            session.show({"deleted": key}, f"deleted {printable(key)} with all its versions")
            return
        done = hierarchy.retire(key, version, wait=wait)
    if not done.disabled:
        again = "run the same command again" if done.not_before else "see to these, and run it"
        raise InvalidStateError(
            f"{done.key} gets nothing new and is not disabled yet: {'; '.join(done.blockers)}",
            remedy=f"{again} then; `keyhier reinstate` takes it back",
        )
    session.show(done.as_dict(), f"disabled {printable(str(done.key))}: nothing needs it")


@hierarchy_command
def reinstate(session: Session, *, key: KeyArgument, version: VersionOption = None) -> None:
    """Use a version again that is being retired, or was disabled by that."""
    with open_hierarchy(session) as hierarchy:
        hierarchy.reinstate(key, version)
    session.show({"reinstated": key}, f"{printable(key)} is in use again")


def _picture(found: Census) -> RenderableType:
    rows = []
    for each in found.versions:
        places = [f"{name or 'no set'}: {count}" for name, count in each.by_set.items()]
        machines = len([name for name in each.by_vm if name is not None])
        rows.append(
            tuple(
                map(
                    printable,
                    (
                        str(each.key),
                        str(each.records),
                        str(each.kept),
                        ", ".join(places),
                        str(machines),
                        ", ".join(each.sets),
                        str(len(each.ade)),
                    ),
                )
            )
        )
    heads = {
        "version": 0,
        "records": 1,
        "kept": 2,
        "by set": 4,
        "machines": 5,
        "used by": 3,
        "ADE secrets": 6,
    }
    lines = [
        f"asked {printable(each.source)}: "
        + ("all told" if each.complete else f"not complete, {printable(each.reason or '')}")
        for each in found.sources
    ]
    verdict = "nothing needs it" if found.is_zero else "it is needed"
    if not found.complete:
        verdict = "the census is not complete"
    table = [Listing(heads, rows)] if rows else []
    return Group(*table, *lines, verdict)
