"""Finds what belongs together among the files of one check: templates and their parameters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

import attrs

from keyhier.errors import InvalidInputError
from keyhier.placement.arm.deployment import Deployment
from keyhier.placement.arm.template import (
    DEPLOYMENTS,
    is_parameter_file,
    is_template,
    read_parameters,
)
from keyhier.placement.documents import Documents, Trouble, read_documents
from keyhier.placement.json_text import JsonText, NotJsonError
from keyhier.placement.model import Origin
from keyhier.placement.unknown import UNKNOWN

__all__ = ["Files"]

_PARAMETERS: Final = ".parameters"


@attrs.define
class Files:
    """Files that are checked together.

    Attributes:
        deployment: where templates and plans are deployed to, as far as it was told.
        troubles: what is wrong with files as a whole.
    """

    deployment: Deployment
    troubles: list[Trouble] = attrs.field(factory=list)
    _texts: dict[str, JsonText] = attrs.field(factory=dict, init=False)
    _given: dict[str, object] = attrs.field(factory=dict, init=False)
    _parameter_files: list[JsonText] = attrs.field(factory=list, init=False)
    _unread: list[str] = attrs.field(factory=list, init=False)

    def add(self, file: str, content: bytes) -> None:
        """Take a file; what is no JSON becomes a trouble."""
        text = self._read(file, content)
        if text is not None:
            self._texts[file] = text

    def add_parameters(self, file: str, content: bytes) -> None:
        """Take a parameter file that is for all templates; a later one wins."""
        text = self._read(file, content)
        if text is not None:
            self._given |= self._values(text)

    def _read(self, file: str, content: bytes) -> JsonText | None:
        try:
            return JsonText(file, content)
        except NotJsonError as error:
            self.troubles.append(Trouble(error.message, error.origin))
            self._unread.append(file)
            return None

    def _values(self, text: JsonText) -> dict[str, object]:
        try:
            values = read_parameters(text.value)
        except InvalidInputError as error:
            self.troubles.append(Trouble(error.message, text.origin("/parameters")))
            return {}
        self._parameter_files.append(text)
        return values

    def documents(self) -> Iterator[Documents]:
        """Yield the resources of each file; of a template for each of its parameter files."""
        values = {
            file: self._values(text)
            for file, text in self._texts.items()
            if is_parameter_file(text.value)
        }
        # What is wrong with a template that cannot be read was told already.
        used = {each for each in values for unread in self._unread if _belongs(each, unread)}
        for file, text in self._texts.items():
            if file in values:
                continue
            own = [each for each in values if is_template(text.value) and _belongs(each, file)]
            used.update(own)
            for number, given in enumerate([values[each] for each in own] or [{}]):
                name = f"{file} {number}" if number else file
                where = attrs.evolve(self.deployment, name=name)
                yield read_documents(text, where, {**given, **self._given})
        yield from filter(None, map(_references, self._parameter_files))
        for file in values:
            if file not in used:
                what = "the template that these parameters are for is not among the files"
                self.troubles.append(Trouble(what, Origin(file), is_error=False))

    def locate(self, origin: Origin, pointer: str) -> Origin:
        """Return the place of a value below another's."""
        text = self._texts.get(origin.file)
        return origin if text is None else text.origin(origin.pointer + pointer)


def _references(parameters: JsonText) -> Documents | None:
    """Return the deployment that a parameter file is for, if it refers to secrets of vaults."""
    document = parameters.value
    if not isinstance(document, dict) or UNKNOWN not in read_parameters(document).values():
        return None
    deployment = {**document, "type": DEPLOYMENTS, "name": parameters.file}
    return Documents(((deployment, parameters.origin("")),))


def _belongs(parameters: str, template: str) -> bool:
    """Whether a parameter file is called after a template: ``X.parameters.json`` after ``X.json``.

    Between the two there may be a word of one's own: ``X.production.parameters.json``.
    """
    one, other = PurePath(parameters), PurePath(template)
    stem = one.name.removesuffix(one.suffix)
    return (
        one.parent == other.parent
        and stem.casefold().endswith(_PARAMETERS)
        and f"{stem}.".casefold().startswith(f"{other.stem}.".casefold())
    )
