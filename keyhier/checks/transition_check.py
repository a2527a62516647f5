"""Checks whether what is asked of a machine may follow on what it has.

What is asked stands in extensions that are yet to be deployed. Where they or what the machine has
are open, each possibility is tried: an error is what none of them allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from keyhier.azure_disk.open_settings import OpenSettings
from keyhier.azure_disk.transitions import check_transition
from keyhier.checks.extensions import IN_DOUBT, Extension
from keyhier.checks.machine_states import MachineStates, State
from keyhier.checks.statements import TRANSITION
from keyhier.errors import InvalidInputError, InvalidStateError
from keyhier.placement.model import Resource
from keyhier.placement.report import Comparison, NotChecked, Violation
from keyhier.placement.resources import Document

__all__ = ["check_transitions"]


def check_transitions(
    documents: Iterable[Document], extensions: Iterable[Extension], resources: Iterable[Resource]
) -> Iterator[Violation | NotChecked]:
    """Yield what may not follow on what machines have, and what nobody can tell.

    Args:
        documents: such as :func:`keyhier.placement.resources.read_resources` has read.
        extensions: those that the documents have.
        resources: what was read.
    """
    sure: list[Extension] = []
    for each in extensions:
        if each.is_sure:
            sure.append(each)
        elif not each.ran:
            yield NotChecked(TRANSITION, each.label, (IN_DOUBT,), each.origin)
    read = [(each, settings) for each in sure if (settings := _settings(each)) is not None]
    wanted = [(each, settings) for each, settings in read if not each.ran]
    if not wanted:
        return
    ran = ((each.machine, settings) for each, settings in read if each.ran)
    states = MachineStates(documents, resources, ran)
    for each, settings in wanted:
        for state in states.of(each.machine):
            yield from _judged(each, settings, state)


def _settings(extension: Extension) -> OpenSettings | None:
    try:
        return OpenSettings.parse(extension.document)
    except InvalidInputError:
        # What is wrong with them is told elsewhere.
        return None


def _judged(
    extension: Extension, wanted: OpenSettings, state: State
) -> Iterator[Violation | NotChecked]:
    errors = list(_errors(wanted, state))
    told = dict.fromkeys(each.message for each in errors if each is not None)
    subject = f"extension of {state.label}"
    if None not in errors:
        compared = tuple(Comparison(subject, "problem", each) for each in told)
        yield Violation(TRANSITION, subject, compared, extension.origin)
    elif told:
        missing = (*state.missing(wanted.sequence_version), *wanted.missing)
        yield NotChecked(TRANSITION, subject, missing, extension.origin)


def _errors(wanted: OpenSettings, state: State) -> Iterator[InvalidStateError | None]:
    for settings in wanted.possible:
        for current, new in state.each(wanted.sequence_version):
            try:
                check_transition(current, attrs.evolve(settings, sequence_version=new))
            except InvalidStateError as error:
                yield error
            else:
                yield None
