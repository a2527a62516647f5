"""What a plan is made of, as the command line and files say it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, TypedDict

import typer

from keyhier.algorithms import KeySpec
from keyhier.azure_disk.eligibility_rules import EligibilityRules
from keyhier.azure_disk.facts import read_facts
from keyhier.cli import files
from keyhier.cli.chosen_rules import chosen_eligibility, chosen_placement
from keyhier.cli.session import Session
from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId
from keyhier.placement.json_text import JsonText, NotJsonError
from keyhier.placement.model import VaultResource
from keyhier.placement.node import MalformedError
from keyhier.placement.resources import read_resources
from keyhier.placement.rules import RuleSet
from keyhier.plans import Documents, PlannedKey

__all__ = [
    "ApplyOption",
    "DocumentsArgument",
    "FactOption",
    "SpecOption",
    "criteria",
    "planned_key",
    "read_documents",
]

_MAX_BYTES: Final = 8 * 1024 * 1024

DocumentsArgument = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Resources as `az … show` prints them; - is a pipe."),
]
SpecOption = Annotated[
    str, typer.Option(metavar="SPEC", help="What the key is made as, if it is not there.")
]
FactOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="What no document tells, such as memory_gb=16."),
]
ApplyOption = Annotated[
    bool,
    typer.Option("--apply", help="Do keyhier's part through the vault, and print the rest."),
]


def read_documents(sources: Iterable[str]) -> Documents:
    """Read resources; a file has one or a list of them.

    Raises:
        InvalidInputError: a file is not JSON, or has something else.
        NotFoundError, AccessDeniedError, UnavailableError: it cannot be read.
    """
    contents: list[Mapping[str, Any]] = []
    for source in sources:
        with files.read(source, limit=_MAX_BYTES) as content:
            contents += _resources(source, bytes(content.view()))
    return Documents(tuple(contents))


def _resources(source: str, content: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the resources of a file; what is wrong with one is told with its place there."""
    try:
        text = JsonText(source, content)
    except NotJsonError as error:
        raise InvalidInputError(f"{error.origin}: {error.message}") from None
    found = [("", text.value)]
    if isinstance(text.value, list):
        found = [(f"/{number}", each) for number, each in enumerate(text.value)]
    for pointer, each in found:
        if not isinstance(each, dict):
            place = text.origin(pointer)
            raise InvalidInputError(f"{place}: a resource's document is a JSON object")
        try:
            read_resources([(each, None)])
        except MalformedError as error:
            place = text.origin(pointer + error.pointer)
            raise InvalidInputError(f"{place}: {error.what}", remedy=error.remedy) from None
        yield each


def planned_key(documents: Documents, text: str, vault: str | None, spec: str) -> PlannedKey:
    """Return a key by its name, or by its id in a key vault.

    Args:
        documents: where its vault is described.
        text: the name or the id.
        vault: the vault's name or ARM id; by default the id tells, or there is one.
        spec: what it is made as.

    Raises:
        InvalidInputError: it is no name and no id of a key in a key vault.
        NotFoundError, AmbiguousError: its vault is not among the documents, or several are.
    """
    if ":" not in text:
        home = documents.pick(VaultResource, vault)
        return PlannedKey(name=text, vault=home, spec=KeySpec.parse(spec))
    key = KeyId.parse(text.removesuffix("/"))
    home = documents.pick(VaultResource, vault or key.vault.partition(".")[0])
    if key.scheme != "https" or home.host != key.vault:
        raise InvalidInputError(f"{key} is no key of {home.label}")
    return PlannedKey(name=key.name, version=key.version, vault=home, spec=KeySpec.parse(spec))


class Criteria(TypedDict):
    """What a plan is held to, as requests take it."""

    facts: Mapping[str, Any]
    rules: RuleSet | str
    eligibility: EligibilityRules | str


def criteria(
    session: Session, facts: Iterable[str] | None, rules: str | None, eligibility: str
) -> Criteria:
    """Return what a plan is held to.

    Args:
        session: the command's, whose profile has the rules where none are named.
        facts: what no document tells, as NAME=VALUE.
        rules: the placement rules, by their name or file.
        eligibility: the eligibility rules, by their name or file.

    Raises:
        What reading any of them, or keyhier.toml, raises.
    """
    return Criteria(
        facts=read_facts(facts or ()),
        rules=chosen_placement(session, rules).rules,
        eligibility=chosen_eligibility(eligibility),
    )
