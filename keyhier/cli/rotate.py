"""`keyhier rotate`: a new version of a key, and every record under it."""

from __future__ import annotations

from typing import Annotated

import typer

from keyhier.cli.hierarchy import open_hierarchy
from keyhier.cli.job_view import (
    DryRunOption,
    JoinOption,
    ThreadsOption,
    show_preview,
    show_report,
    working,
)
from keyhier.cli.session import Session, hierarchy_command
from keyhier.errors import InvalidInputError

__all__ = ["rotate"]


@hierarchy_command
def rotate(
    session: Session,
    *,
    key: Annotated[
        str | None,
        typer.Argument(metavar="[KEY]", help="Its name or id; with a version, none is made."),
    ] = None,
    join: JoinOption = None,
    dry_run: DryRunOption = False,
    threads: ThreadsOption = None,
) -> None:
    """Make a new version of a key, and wrap every record under it that needs an older one.

    Run it again if it was interrupted: it goes on. The envelopes before are kept until
    `keyhier jobs finalize`; `keyhier jobs rollback` brings them back. A key whose rotation is
    complete is rotated again when one of these has ended it.
    """
    if (key is None) is (join is None):
        raise InvalidInputError("name a key, or a job with --join")
    if dry_run:
        if key is None:
            raise InvalidInputError("--dry-run goes with a key; `keyhier jobs show` shows a job")
        with open_hierarchy(session, read_only=True) as hierarchy:
            show_preview(session, hierarchy.preview_rotation(key))
        return
    with open_hierarchy(session) as hierarchy:
        jobs = hierarchy.jobs
        with working(session, threads, "keyhier rotate") as work:
            report = hierarchy.rotate(key, work) if key else jobs.resume(join or "", work)
        show_report(session, jobs, report, joined=join is not None)
