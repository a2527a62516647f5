"""A plan as the command shows and writes it, and what was done of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer

from keyhier.cli import files
from keyhier.cli.session import Session
from keyhier.cli.text import printable
from keyhier.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from keyhier.plans import Applied, Doer, Plan, as_document, as_mermaid, as_text

__all__ = ["OutOption", "PictureOption", "PlanOutput", "show_applied", "show_plan"]

OutOption = Annotated[
    str | None, typer.Option(metavar="FILE", help="Write the plan file, which is JSON.")
]
PictureOption = Annotated[
    str | None, typer.Option(metavar="FILE", help="Write the picture, in Mermaid's language.")
]


@attrs.frozen
class PlanOutput:
    """Where a plan is written to, beside what is shown.

    Attributes:
        file: for the plan file, or None.
        picture: for the picture, or None.
        force: whether files that are there are replaced.

    What the names tell is told before anything is done, so that a plan is not applied whose outcome
    then could not be written.

    Raises:
        InvalidInputError: standard output is named, where the plan is shown already; what is there
            is a folder or a special file; or both names are of one file.
        AlreadyExistsError: a file is there and is not to be replaced.
        NotFoundError: there is no folder to write a file in.
    """

    file: str | None
    picture: str | None
    force: bool

    def __attrs_post_init__(self) -> None:
        names = [each for each in (self.file, self.picture) if each is not None]
        for name in names:
            _check(name, force=self.force)
        if len({os.path.realpath(name) for name in names}) < len(names):
            raise InvalidInputError(
                "--out and --picture name one file",
                remedy="name two files, or leave one of the options out",
            )

    def write(self, plan: Plan) -> None:
        """Write the files; raises what :func:`keyhier.cli.files.write_line` raises."""
        if self.file is not None:
            files.write_line(self.file, json.dumps(as_document(plan), indent=2), force=self.force)
        if self.picture is not None:
            files.write_line(self.picture, as_mermaid(plan).rstrip("\n"), force=self.force)


def _check(name: str, *, force: bool) -> None:
    """Refuse a name under which no file can be written."""
    if name == files.STANDARD:
        raise InvalidInputError(
            "the plan is shown on standard output, so --out and --picture name files",
            remedy="use --json to have the plan file on standard output",
        )
    target = Path(name)
    is_there = os.path.lexists(target)
    # A link is replaced itself, wherever it leads.
    if is_there and not (target.is_file() or target.is_symlink()):
        raise InvalidInputError(
            f"{printable(str(target))} is no ordinary file, and is left as it is",
            remedy="name a file",
        )
    if is_there and not force:
        raise AlreadyExistsError(
            f"the file {printable(name)} is there already",
            remedy="choose another name, or add --force",
        )
    if not os.path.isdir(target.parent):  # noqa: PTH112  # Path raises for too long a name.
        raise NotFoundError(
            f"there is no folder {printable(str(target.parent))} to write a file in",
            remedy=f"make the folder {printable(str(target.parent))} first",
        )


def show_plan(session: Session, plan: Plan, output: PlanOutput) -> None:
    """Show a plan, and then raise what speaks against it.

    Raises:
        PlacementError, InvalidStateError: something does.
        AlreadyExistsError and others: a file cannot be written.
    """
    output.write(plan)
    session.show(as_document(plan), as_text(plan))
    plan.raise_for_errors()


def show_applied(session: Session, applied: Applied, output: PlanOutput) -> None:
    """Show what was done of a plan, and what is left to do; raises as :func:`show_plan`."""
    document = as_document(applied.plan) | {"applied": _done(applied)}
    # It is done, so it is told first, whether or not the files can be written.
    session.show(document, "\n".join(_told(applied)))
    output.write(applied.plan)


def _done(applied: Applied) -> dict[str, Any]:
    return {
        "key": None if applied.key is None else str(applied.key),
        "made": applied.made,
        "secret": None if applied.secret is None else str(applied.secret),
        "secret_made": applied.secret_made,
        "kept": applied.kept,
        "rehearsed": applied.rehearsed,
    }


def _told(applied: Applied) -> Iterator[str]:
    yield as_text(applied.plan)
    if applied.key is not None:
        yield f"done: {'made' if applied.made else 'found'} {applied.key}"
    if applied.secret is not None:
        yield f"done: {'set' if applied.secret_made else 'found'} {applied.secret}"
    if applied.kept:
        yield f"done: kept the {printable(applied.plan.subject)} in the records"
    if applied.rehearsed:
        yield "this was a rehearsal in another vault than the plan's, and Azure knows nothing of it"
    left = [step for step in applied.plan.steps if step.doer is Doer.YOU]
    resources = [step.resource for step in left if step.resource is not None]
    if resources:
        yield "The ARM resources:"
        yield json.dumps(resources, indent=2)
