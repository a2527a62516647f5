"""Jobs at the command: how far they are while they run, and what came of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from keyhier.cli.session import Session
from keyhier.cli.text import counted, moment, printable
from keyhier.errors import IntegrityError, InvalidStateError
from keyhier.hierarchy.left_behind import LeftBehind
from keyhier.hierarchy.rewrap_jobs import Preview, RewrapJobs
from keyhier.hierarchy.work import JobReport, Work
from keyhier.hierarchy.work import Progress as JobProgress
from keyhier.records.jobs import ItemState, Job, JobItem, JobState

__all__ = [
    "DryRunOption",
    "JoinOption",
    "ThreadsOption",
    "failed_items",
    "job_document",
    "job_lines",
    "show_preview",
    "show_report",
    "working",
]

_SHOWN: Final = 20
"""So many failed records are named; `keyhier jobs show --json` names all."""

JoinOption = Annotated[
    str | None, typer.Option(metavar="JOB", help="Work on this job, beside others who do.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")
]
ThreadsOption = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="How many threads; else as suits the vaults.")
]


@contextmanager
def working(session: Session, threads: int | None, command: str) -> Iterator[Work]:
    """Give a way to work that shows how far it is, where somebody is watching.

    Ctrl-C is answered with where the job is left.

    Args:
        session: the command's.
        threads: how many, or None for as many as use the vaults well.
        command: what goes on with a job, but for ``--join``.
    """
    begun: list[Job] = []
    try:
        with _watched(session) as progress:
            yield Work(threads=threads, progress=progress, started=begun.append)
    except KeyboardInterrupt:
        for job in begun:
            _tell_interrupted(session, job, command)
        raise


def _tell_interrupted(session: Session, job: Job, command: str) -> None:
    remedy = f"run it again, or `{command} --join {job.id}`, to go on"
    text = f"keyhier: interrupted: job {job.id} is kept as far as it is; {remedy}"
    if session.settings.as_json:
        text = json.dumps({"interrupted": {"job": job.id, "remedy": remedy}})
    sys.stderr.write(f"{text}\n")


@contextmanager
def _watched(session: Session) -> Iterator[JobProgress | None]:
    if session.settings.as_json or not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("records", total=None)

        def tell(counts: Mapping[ItemState, int]) -> None:
            total = sum(counts.values())
            failed = counts[ItemState.FAILED]
            bar.update(
                task,
                total=total,
                completed=total - counts[ItemState.PENDING],
                description=f"records, {failed} failed" if failed else "records",
            )

        yield tell


def job_document(job: Job) -> dict[str, Any]:
    """Return a job as JSON."""
    return {
        "id": job.id,
        "kind": job.kind,
        "state": str(job.state),
        "keys": list(job.keys),
        "target": None if job.target is None else str(job.target),
        "created": moment(job.created),
        "updated": moment(job.updated),
    }


def failed_items(items: Iterator[JobItem]) -> list[dict[str, str | None]]:
    """Return the failed records as JSON."""
    return [{"record": item.record, "error": item.error, "text": item.text} for item in items]


def job_lines(report: JobReport, failed: Iterator[JobItem]) -> list[str]:
    """Say how a job stands and which records failed, as lines for people."""
    job, counts = report.job, report.counts
    lines = [
        f"job {job.id}: {job.kind}, {job.state}",
        *(f"key {printable(key)}" for key in job.keys),
        *([] if job.target is None else [f"now {printable(str(job.target))}"]),
        ", ".join(f"{counts[state]} {state}" for state in ItemState),
    ]
    lines += [
        f"record {item.record} failed: {printable(item.text or '')}"
        for item in islice(failed, _SHOWN)
    ]
    if counts[ItemState.FAILED] > _SHOWN:
        lines.append(f"and {counts[ItemState.FAILED] - _SHOWN} more")
    return lines


def show_report(
    session: Session,
    jobs: RewrapJobs,
    report: JobReport,
    *,
    joined: bool,
) -> None:
    """Show how a job stands after it was worked on, and what comes next.

    Args:
        session: the command's.
        jobs: the jobs that it is of.
        report: how it stands.
        joined: whether the job was named, and not what it is to do.

    Raises:
        IntegrityError: records failed; they are as they were.
        InvalidStateError: the job was done before, and what was asked for is not done once more;
            or it was rolled back meanwhile, or is open for another reason.
    """
    job, counts = report.job, report.counts
    failed = jobs.journal.items(job.id, ItemState.FAILED)
    behind = LeftBehind()
    if job.state is JobState.DONE and not report.was_done:
        behind = jobs.left_behind(job)
    if session.settings.as_json:
        document = job_document(job) | {"records": {str(s): n for s, n in counts.items()}}
        document |= {"failed": failed_items(failed), "left_behind": _behind_document(behind)}
        session.show(document, "")
    else:
        lines = [*job_lines(report, failed), *_behind_lines(behind)]
        if job.state is JobState.DONE:
            lines.append(f"next: {_next(job)}")
        session.show({}, "\n".join(lines))
    if counts[ItemState.FAILED]:
        raise IntegrityError(
            f"{counts[ItemState.FAILED]} of {sum(counts.values())} records of job {job.id} failed "
            "and are as they were",
            remedy="see to what is said of them and run it again",
        )
    if report.was_done and not joined:
        raise InvalidStateError(
            f"job {job.id} was complete before and is not begun once more", remedy=_next(job)
        )
    if not report.complete:
        raise InvalidStateError(f"job {job.id} is {job.state}")


def _next(job: Job) -> str:
    return (
        f"`keyhier jobs finalize {job.id}` drops the envelopes before, "
        f"`keyhier jobs rollback {job.id}` brings them back"
    )


def _behind_document(behind: LeftBehind) -> dict[str, Any]:
    return {
        "sets": {name: str(reference.key) for name, reference in behind.sets.items()},
        "unobserved": list(behind.unobserved),
        "pins": {str(kek): pin for kek, pin in behind.pins.items()},
    }


def _behind_lines(behind: LeftBehind) -> Iterator[str]:
    for name, reference in behind.sets.items():
        pin = "" if reference.follows else " --pin"
        key = printable(str(reference.key))
        yield (
            f"warning: the set {printable(name)} refers to what its records needed before; "
            f"`keyhier set refer {printable(name)} --key '{key}'{pin}` mends it"
        )
    for name in behind.unobserved:
        yield (
            f"warning: the set {printable(name)} uses the version before for new disks until "
            f"`keyhier set observe {printable(name)}`"
        )
    for kek, pin in behind.pins.items():
        yield (
            f"warning: {printable(str(kek))} lies under a public key now and wraps no more until "
            f'it is pinned in keyhier.toml: "{printable(str(kek))}" = "{pin}"'
        )


def show_preview(session: Session, found: Preview) -> None:
    """Show what a job would do.

    Raises:
        IntegrityError: some records would fail.
    """
    document = {
        "job": None if found.job is None else found.job.id,
        "records": found.count,
        "versions": [
            {"from": str(old), "to": None if new is None else str(new)}
            for old, new in found.versions
        ],
        "counts": [
            {"key": str(row.key), "set": row.set, "vm": row.vm, "count": row.count}
            for row in found.rows
        ],
        "broken": [{"record": name, "error": str(error)} for name, error in found.broken],
    }
    lines = [f"{counted(found.count, 'record')} would be wrapped anew; nothing was written"]
    for old, new in found.versions:
        count = sum(row.count for row in found.rows if row.key == old)
        lines.append(f"{count} from {printable(str(old))}")
        lines.append(f"  to {'a new version' if new is None else printable(str(new))}")
    if found.job is not None:
        lines.append(f"job {found.job.id} would be gone on with")
    lines += [f"record {name} would fail: {printable(str(error))}" for name, error in found.broken]
    session.show(document, "\n".join(lines))
    if found.broken:
        raise IntegrityError(f"{counted(len(found.broken), 'record')} would fail")
