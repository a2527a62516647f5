"""`keyhier records`: wrapped keys as they are kept; only a restore drill opens them."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from keyhier.cli import files
from keyhier.cli.hierarchy import open_hierarchy
from keyhier.cli.listing import Listing
from keyhier.cli.session import Command, Session, hierarchy_command, records_command
from keyhier.cli.text import counted, moment, printable
from keyhier.errors import IntegrityError, InvalidInputError, InvalidStateError
from keyhier.identifiers import KeyId
from keyhier.records.json_lines import MAX_LINE_BYTES, document_of, read_lines, to_line
from keyhier.records.record import Query, Record, RecordState
from keyhier.records.stored import KeyState

__all__ = ["app"]

app = typer.Typer(help="Wrapped keys as they are kept.", no_args_is_help=True)

_COLUMNS: Final = {"id": 0, "vm": 2, "volume": 3, "set": 4, "key": 1, "state": 5}
# So many rows can be set in one table before the terminal has to wait.
_ROWS: Final = 500

KeyOption = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Those that need this key; with a version, that version."),
]
VmOption = Annotated[str | None, typer.Option(metavar="NAME", help="Those of this machine.")]
SetOption = Annotated[str | None, typer.Option("--set", metavar="NAME", help="Those of this set.")]
LabelOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Those with this label; may be repeated."),
]


def _query(
    *,
    key: KeyOption = None,
    vm: VmOption = None,
    set_name: SetOption = None,
    label: LabelOption = None,
) -> Query:
    labels: dict[str, str] = {}
    for each in label or ():
        name, equals, value = each.partition("=")
        if not equals or name in labels:
            raise InvalidInputError("a label is given as NAME=VALUE, and each name once")
        labels[name] = value
    return Query(key=None if key is None else KeyId.parse(key), vm=vm, set=set_name, labels=labels)


def _selecting(function: Command) -> Command:
    """Give a command that takes a query the options that say which records."""
    options = inspect.signature(_query, eval_str=True).parameters
    own = inspect.signature(function, eval_str=True).parameters

    @functools.wraps(function)
    def command(session: Session, **given: Any) -> None:
        query = _query(**{name: given.pop(name) for name in options})
        function(session, query=query, **given)

    # Typer reads a command's options from its signature.
    kept = [parameter for name, parameter in own.items() if name != "query"]
    command.__signature__ = inspect.Signature([*kept, *options.values()])  # type: ignore[attr-defined]  # Functions have it.
    return command


@app.command("list")
@records_command
@_selecting
def list_records(session: Session, *, query: Query) -> None:
    """List records: all, or those that match everything that is given."""
    with session.open_records(read_only=True) as store:
        found = store.find(query)
        if session.settings.as_json:
            _write_array(found)
            return
        page = list(islice(found, _ROWS))
        if not page:
            session.show({}, "no records")
        while page:
            session.show({}, Listing(_COLUMNS, [_row(record) for record in page]))
            page = list(islice(found, _ROWS))


@app.command("show")
@records_command
def show(
    session: Session,
    *,
    record_id: Annotated[str, typer.Argument(metavar="ID", help="The record's id.")],
) -> None:
    """Show a record; `keyhier inspect` shows what is in its envelope."""
    with session.open_records(read_only=True) as store:
        record = store.get(record_id)
    session.show(document_of(record), _details(record))


@app.command("export")
@records_command
@_selecting
def export(session: Session, *, query: Query) -> None:
    """Write records to standard output as JSON Lines: all, or those that match."""
    with session.open_records(read_only=True) as store:
        for record in store.find(query):
            sys.stdout.write(f"{to_line(record)}\n")
    sys.stdout.flush()


@app.command("import")
@records_command
def import_records(
    session: Session,
    *,
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON Lines; - is standard input.")
    ] = files.STANDARD,
) -> None:
    """Take records over from JSON Lines: all of the file, or nothing where a line is broken."""
    with (
        files.lines_of(source, limit=MAX_LINE_BYTES) as lines,
        session.open_records() as store,
    ):
        count = store.load(read_lines(lines))
    session.show({"imported": count}, f"imported {counted(count, 'record')}")


@app.command("delete")
@records_command
def delete(
    session: Session,
    *,
    record_id: Annotated[str, typer.Argument(metavar="ID", help="The record's id.")],
    confirm: Annotated[
        str | None, typer.Option(metavar="ID", help="The record's id again.")
    ] = None,
) -> None:
    """Delete a record and the key in it, which only an export or a backup brings back.

    It makes room for the same record of an export, where somebody altered it. That of a KEK is
    deleted once `keyhier retire` has disabled the version.
    """
    if confirm != record_id:
        raise InvalidInputError(
            f"to delete the record {record_id!r:.60}, give its id again",
            remedy=f"keep its line of `keyhier records export`, and add --confirm {record_id:.60}",
        )
    with session.open_records() as store:
        record = store.get(record_id)
        if record.names is not None:
            needed = store.count(Query(key=record.names))
            needed += store.count(Query(kept_under=record.names))
            if needed:
                raise InvalidStateError(
                    f"{counted(needed, 'envelope')} of other records can only be opened with "
                    f"{record.names}, which is in the record {record_id}",
                    remedy="rotate it first, and finalise that job",
                )
            mark = store.key_marks.get(record.names)
            # Before that, whoever has it open may wrap under it. Reinstating it changes the record.
            retired = mark is not None and mark.state is KeyState.DISABLED
            if not retired or record.state is not RecordState.RETIRED:
                raise InvalidStateError(
                    f"{record.names}, which is in the record {record_id}, was not retired",
                    remedy="rotate it if it is the latest version, and disable it by "
                    f"`keyhier retire {record.names}`",
                )
        store.delete(record)
    session.show({"deleted": record_id}, f"deleted the record {record_id}")


@app.command("verify")
@hierarchy_command
@_selecting
def verify(
    session: Session,
    *,
    sample: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="So many of them, at random.")
    ] = None,
    query: Query,
) -> None:
    """Open records without changing anything, all or those that match: a restore drill."""
    with open_hierarchy(session, read_only=True) as hierarchy:
        done = hierarchy.verify(query, sample=sample)
    document = {
        "opened": done.opened,
        "of": done.of,
        "failed": [
            {"record": record, "error": type(error).__name__, "message": error.message}
            for record, error in done.failed
        ],
    }
    lines = [f"{record}: {printable(error.message)}" for record, error in done.failed]
    session.show(
        document, "\n".join([*lines, f"opened {done.opened} of {counted(done.of, 'record')}"])
    )
    if done.failed:
        raise IntegrityError(f"{counted(len(done.failed), 'record')} did not open")


def _write_array(found: Iterator[Record]) -> None:
    """Write a JSON document of any number of records, as they come."""
    start = '{"records": ['
    for record in found:
        sys.stdout.write(f"{start}\n{json.dumps(document_of(record))}")
        start = ","
    sys.stdout.write('{"records": []}\n' if start != "," else "\n]}\n")
    sys.stdout.flush()


def _row(record: Record) -> tuple[str, ...]:
    return tuple(
        printable(text or "")
        for text in (
            *(record.id, record.vm, record.volume, record.set),
            *(str(record.key), str(record.state)),
        )
    )


def _details(record: Record) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows = {
        "id": record.id,
        "holds": str(record.kind),
        "names": None if record.names is None else str(record.names),
        "vm": record.vm,
        "volume": record.volume,
        "set": record.set,
        "labels": "\n".join(f"{name}={value}" for name, value in sorted(record.labels.items())),
        "details": json.dumps(record.details) if record.details else None,
        "key": str(record.key),
        "before": None if record.previous is None else str(record.previous.key),
        "state": str(record.state),
        "generation": str(record.generation),
        "created": moment(record.created),
        "updated": moment(record.updated),
        "recovery": record.recovery,
        "envelope": record.envelope,
    }
    for label, value in rows.items():
        if value:
            table.add_row(label, "\n".join(map(printable, value.split("\n"))))
    return table
