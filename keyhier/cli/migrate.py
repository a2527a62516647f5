"""`keyhier migrate`: every record under one vault's keys goes under another's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from keyhier.cli.hierarchy import open_hierarchy_beside
from keyhier.cli.job_view import (
    DryRunOption,
    JoinOption,
    ThreadsOption,
    show_preview,
    show_report,
    working,
)
from keyhier.cli.session import Session, hierarchy_command
from keyhier.errors import AccessDeniedError, InvalidInputError
from keyhier.hierarchy.migration import KeyMap

__all__ = ["migrate"]

_MAX_MAP_BYTES: Final = 1024 * 1024


@hierarchy_command
def migrate(
    session: Session,
    *,
    to: Annotated[str, typer.Option(metavar="URI", help="The other vault.")],
    names: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="HERE=THERE", help="What a key is called there."),
    ] = None,
    map_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A JSON object of names or ids, here and there."),
    ] = None,
    move_key: Annotated[
        bool, typer.Option("--move-key", help="The keys themselves go there, too.")
    ] = False,
    join: JoinOption = None,
    dry_run: DryRunOption = False,
    threads: ThreadsOption = None,
) -> None:
    """Wrap every record under a key of another vault, by default the one of the same name.

    With --move-key that is the same key: one that was made extractable is imported there, under a
    name that is free.

    Run it again if it was interrupted, with the same map: it goes on. Until `keyhier jobs finalize`
    the records hold both envelopes.
    """
    key_map = _read_map(names, map_file)
    if join is not None and dry_run:
        raise InvalidInputError("--join works on a job; `keyhier jobs show` shows one")
    with open_hierarchy_beside(session, to, read_only=dry_run) as (hierarchy, vault):
        if dry_run:
            show_preview(session, hierarchy.preview_migration(vault, key_map, move_keys=move_key))
            return
        jobs = hierarchy.jobs_beside(vault, key_map, move_keys=move_key)
        with working(session, threads, "keyhier migrate --to URI") as work:
            if join is None:
                report = hierarchy.migrate(vault, key_map, work, move_keys=move_key)
            else:
                report = jobs.resume(join, work)
        show_report(session, jobs, report, joined=join is not None)


def _read_map(names: Sequence[str] | None, path: Path | None) -> KeyMap:
    found: dict[str, str] = {} if path is None else _read_file(path)
    for each in names or ():
        here, equals, there = each.partition("=")
        if not (here and equals and there) or here in found:
            raise InvalidInputError("a key is mapped once, as HERE=THERE")
        found[here] = there
    return found


def _read_file(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_MAP_BYTES + 1)
    except OSError as error:
        raise AccessDeniedError(f"{path} cannot be read: {error.strerror}") from None
    try:
        found = json.loads(content.decode()) if len(content) <= _MAX_MAP_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(
        isinstance(there, str) and there for there in found.values()
    ):
        raise InvalidInputError(f"{path} is no JSON object of names or ids of keys, here and there")
    return found
