"""Checks files and live resources: placement, eligibility and settings in one report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import attrs

from keyhier.checks.eligibility_check import Eligibility, check_machines
from keyhier.checks.extensions import extensions_in
from keyhier.checks.settings_check import check_settings
from keyhier.checks.statements import NOT_READ, READABLE
from keyhier.checks.transition_check import check_transitions
from keyhier.placement.check import check_placement
from keyhier.placement.declared import with_declared
from keyhier.placement.documents import Trouble
from keyhier.placement.model import Origin
from keyhier.placement.node import MalformedError
from keyhier.placement.policy import PlacementPolicy
from keyhier.placement.report import Comparison, NotChecked, Report, Violation
from keyhier.placement.resources import Document, read_resources

__all__ = ["Eligibility", "check_documents"]

Locate = Callable[[Origin, str], Origin]
"""Gives the place of a value below another's place."""

_NO_POLICY: Final = PlacementPolicy()
_TODAYS: Final = Eligibility()


def check_documents(
    documents: Iterable[Document],
    troubles: Iterable[Trouble] = (),
    placement: PlacementPolicy = _NO_POLICY,
    eligibility: Eligibility = _TODAYS,
    locate: Locate | None = None,
) -> Report:
    """Report all that speaks against resources, and all that could not be checked.

    Args:
        documents: the resources' documents, checked together.
        troubles: what was wrong where they were read.
        placement: the placement rules, and where vaults are by declaration; who enforces them is
            not asked, since nothing is done here.
        eligibility: the rules of eligibility, and what is known beside the documents.
        locate: finds the line of a value in the file that a document is of.

    Raises:
        NotFoundError: there are no rules of that name.
        InvalidInputError: a fact has no name of such a fact.
    """
    listed = list(documents)
    found: list[Violation | NotChecked] = [_told(each) for each in troubles]
    refused: set[int] = set()

    def refuse(error: MalformedError, document: Document) -> None:
        content, origin = document
        refused.add(id(content))
        if origin is not None and locate:
            origin = locate(origin, error.pointer)
        found.append(_violation(error.what, origin, error.pointer))

    resources = with_declared(read_resources(listed, refuse), placement.vaults)
    found += check_machines(resources, eligibility)
    sound = [each for each in listed if id(each[0]) not in refused]
    extensions = extensions_in(sound)
    found += check_settings(sound, extensions)
    found += check_transitions(sound, extensions, resources)
    return check_placement(resources, placement.rules).with_more(
        [each for each in found if isinstance(each, Violation)],
        [each for each in found if isinstance(each, NotChecked)],
    )


def _told(trouble: Trouble) -> Violation:
    told = _violation(trouble.text, trouble.origin, trouble.origin.pointer)
    return told if trouble.is_error else attrs.evolve(told, rule=NOT_READ)


def _violation(what: str, origin: Origin | None, pointer: str) -> Violation:
    subject = "a document" if origin is None else origin.file
    place = pointer or "the document"
    return Violation(READABLE, subject, (Comparison(place, "problem", what),), origin)
