"""Jobs at the command: how far they are while they run, and what came of them."""

from __future__ import annotations

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
from keyhier.hierarchy.rewrap_jobs import Preview
from keyhier.hierarchy.work import JobReport, Work
from keyhier.records.jobs import ItemState, Job, JobItem

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
    int | None, typer.Option(metavar="N", min=1, help="How many threads; else one a processor.")
]


@contextmanager
def working(session: Session, threads: int | None) -> Iterator[Work]:
    """Give a way to work that shows how far it is, where somebody is watching."""
    if session.settings.as_json or not sys.stderr.isatty():
        yield Work(threads=threads)
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

        yield Work(threads=threads, progress=tell)


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


def show_report(session: Session, report: JobReport, failed: Iterator[JobItem]) -> None:
    """Show how a job stands after it was worked on.

    Raises:
        IntegrityError: records failed; they are as they were.
        InvalidStateError: the job was rolled back meanwhile, or is open for another reason.
    """
    counts = report.counts
    if session.settings.as_json:
        document = job_document(report.job) | {"records": {str(s): n for s, n in counts.items()}}
        session.show(document | {"failed": failed_items(failed)}, "")
    else:
        session.show({}, "\n".join(job_lines(report, failed)))
    job = report.job
    if counts[ItemState.FAILED]:
        raise IntegrityError(
            f"{counts[ItemState.FAILED]} of {sum(counts.values())} records of job {job.id} failed "
            "and are as they were",
            remedy="see to what is said of them and run it again",
        )
    if not report.complete:
        raise InvalidStateError(f"job {job.id} is {job.state}")


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
