"""A plan as the command shows and writes it, and what was done of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from keyhier.cli import files
from keyhier.cli.session import Session
from keyhier.cli.text import printable
from keyhier.plans import Applied, Doer, Plan, as_document, as_mermaid, as_text

__all__ = ["OutOption", "PictureOption", "show_applied", "show_plan"]

OutOption = Annotated[
    str | None, typer.Option(metavar="FILE", help="Write the plan file, which is JSON.")
]
PictureOption = Annotated[
    str | None, typer.Option(metavar="FILE", help="Write the picture, in Mermaid's language.")
]


def show_plan(session: Session, plan: Plan, *, out: str | None, picture: str | None) -> None:
    """Show a plan, and then raise what speaks against it.

    Raises:
        PlacementError, InvalidStateError: something does.
        AlreadyExistsError and others: a file cannot be written.
    """
    _write(plan, out=out, picture=picture)
    session.show(as_document(plan), as_text(plan))
    plan.raise_for_errors()


def show_applied(
    session: Session, applied: Applied, *, out: str | None, picture: str | None
) -> None:
    """Show what was done of a plan, and what is left to do; raises as :func:`show_plan`."""
    _write(applied.plan, out=out, picture=picture)
    document = as_document(applied.plan) | {"applied": _done(applied)}
    session.show(document, "\n".join(_told(applied)))


def _write(plan: Plan, *, out: str | None, picture: str | None) -> None:
    if out is not None:
        files.write_line(out, json.dumps(as_document(plan), indent=2), force=False)
    if picture is not None:
        files.write_line(picture, as_mermaid(plan).rstrip("\n"), force=False)


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
