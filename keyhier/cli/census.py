"""`keyhier census` and `keyhier retire`: who needs a key version, and its end."""

from __future__ import annotations

from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType

from keyhier.cli.hierarchy import open_hierarchy
from keyhier.cli.listing import Listing
from keyhier.cli.session import Session, hierarchy_command
from keyhier.cli.text import printable
from keyhier.errors import InvalidInputError, InvalidStateError
from keyhier.hierarchy.census import Census, VersionCount
from keyhier.hierarchy.retirement import Retirement

__all__ = ["census", "reinstate", "retire"]

_COLUMNS: Final = {
    "version": 0,
    "records": 1,
    "kept by jobs": 2,
    "by set": 4,
    "machines": 5,
    "sets": 3,
    "ADE secrets": 6,
}

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
    """Let nothing new use a version, and disable it once nothing needs it.

    The first run marks the version, and says when to run the same command again; both end with 0,
    and --json tells in `disabled` which it was. Where something needs the version it ends with 9.
    """
    with open_hierarchy(session) as hierarchy:
        if delete is not None:
            if version is not None or wait:
                raise InvalidInputError("--delete takes the whole key, at once")
            done = hierarchy.delete_key(key, confirm=delete)
        else:
            done = hierarchy.retire(key, version, wait=wait)
    if done.blockers and done.not_before is None:
        raise InvalidStateError(
            f"{done.key} gets nothing new, and is not disabled: {'; '.join(done.blockers)}",
            remedy="see to these and run it again; `keyhier reinstate` takes it back",
        )
    session.show(done.as_dict(), _progress(done, printable(key)))


def _progress(done: Retirement, key: str) -> str:
    version = printable(str(done.key))
    if done.deleted:
        return f"deleted {key} with all its versions"
    if done.disabled:
        return f"disabled {version}: nothing needs it"
    return "\n".join(
        (
            f"marked {version} as retiring: no record gets an envelope under it any more",
            f"it goes on opening what it wrapped; {'; '.join(done.blockers)}",
            "run the same command again after that; `keyhier reinstate` takes it back",
        )
    )


@hierarchy_command
def reinstate(session: Session, *, key: KeyArgument, version: VersionOption = None) -> None:
    """Use a version again that is being retired, or was disabled by that."""
    with open_hierarchy(session) as hierarchy:
        hierarchy.reinstate(key, version)
    session.show({"reinstated": key}, f"{printable(key)} is in use again")


def _picture(found: Census) -> RenderableType:
    rows = [tuple(map(printable, _row(each))) for each in found.versions]
    lines = []
    for each in found.versions:
        sets = [f"the set {name} uses it, or is leaving it" for name in each.sets]
        needed = "; ".join([*each.reasons(), *sets]) or "nothing needs it"
        lines.append(f"{printable(str(each.key))}: {printable(needed)}")
    lines += [
        f"counted {printable(each.source)}: "
        + ("all of it" if each.complete else f"not all of it, {printable(each.reason or '')}")
        for each in found.sources
    ]
    if not found.complete:
        lines.append("the census is not complete: more may need it than is counted here")
    elif not rows:
        lines.append(f"nothing needs any version of {printable(str(found.key))}")
    return Group(*([Listing(_COLUMNS, rows)] if rows else []), *lines)


def _row(each: VersionCount) -> tuple[str, ...]:
    return (
        str(each.key),
        str(each.records),
        str(each.kept),
        ", ".join(f"{name or 'no set'}: {count}" for name, count in each.by_set.items()),
        str(len([name for name in each.by_vm if name is not None])),
        ", ".join(each.sets),
        str(len(each.ade)),
    )
