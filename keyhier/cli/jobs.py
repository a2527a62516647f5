"""`keyhier jobs`: rotations and migrations that were begun, and how they end."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from keyhier.cli.hierarchy import open_hierarchy
from keyhier.cli.job_view import failed_items, job_document, job_lines
from keyhier.cli.listing import Listing
from keyhier.cli.session import Session, hierarchy_command, records_command
from keyhier.cli.text import counted, moment, printable
from keyhier.errors import IntegrityError
from keyhier.hierarchy.rewrap_jobs import finalize as finalize_job
from keyhier.hierarchy.work import JobReport
from keyhier.records.jobs import ItemState

__all__ = ["app"]

app = typer.Typer(help="Rotations and migrations that were begun.", no_args_is_help=True)

_COLUMNS: Final = {"job": 0, "kind": 2, "state": 1, "begun": 4, "keys": 3}

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]


@app.command("list")
@records_command
def list_jobs(
    session: Session,
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
) -> None:
    """List the jobs that have not ended."""
    with session.open_records(read_only=True) as store:
        found = store.journal.jobs(ended=None if every else False)
    rows = [
        tuple(
            map(
                printable,
                (job.id, job.kind, job.state, moment(job.created) or "", " ".join(job.keys)),
            )
        )
        for job in found
    ]
    table = Listing(_COLUMNS, rows)
    session.show({"jobs": [job_document(job) for job in found]}, table if found else "no jobs")


@app.command("show")
@records_command
def show(session: Session, *, job: JobArgument) -> None:
    """Show how a job stands, and which records failed."""
    with session.open_records(read_only=True) as store:
        journal = store.journal
        report = JobReport(journal.job(job), journal.counts(job))
        failed = journal.items(job, ItemState.FAILED)
        if session.settings.as_json:
            counts = {str(state): count for state, count in report.counts.items()}
            document = job_document(report.job) | {"records": counts}
            session.show(document | {"failed": failed_items(failed)}, "")
            return
        session.show({}, "\n".join(job_lines(report, failed)))


@app.command("finalize")
@records_command
def finalize(session: Session, *, job: JobArgument) -> None:
    """Drop the envelopes before, which cannot be undone, and let the keys go."""
    with session.open_records() as store:
        ended = finalize_job(store.journal, job)
    session.show(job_document(ended), f"job {ended.id} is {ended.state}")


@app.command("rollback")
@hierarchy_command
def rollback(session: Session, *, job: JobArgument) -> None:
    """Bring the envelopes before back, each once it was seen to open."""
    with open_hierarchy(session) as hierarchy:
        done = hierarchy.jobs.roll_back(job)
    failed = [{"record": name, "error": str(error)} for name, error in done.failed]
    lines = [
        f"job {done.job.id} is {done.job.state}: {counted(done.restored, 'record')} restored",
        *(f"record {name} was left: {printable(str(error))}" for name, error in done.failed),
    ]
    document = job_document(done.job) | {"restored": done.restored, "failed": failed}
    session.show(document, "\n".join(lines))
    if done.failed:
        raise IntegrityError(
            f"{counted(len(done.failed), 'record')} could not be restored",
            remedy="see to what is said of them and roll back again",
        )


@app.command("forget")
@records_command
def forget(session: Session, *, job: JobArgument) -> None:
    """Delete a job that has ended from the journal."""
    with session.open_records() as store:
        store.journal.forget(job)
    session.show({"forgotten": job}, f"forgot job {printable(job)}")
