"""`keyhier set plan`: the way to make a disk encryption set, fill it, and rotate its key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from keyhier.azure_disk.set_resource import EncryptionType
from keyhier.cli.chosen_rules import EligibilityOption, RulesOption
from keyhier.cli.envelope import ForceOption
from keyhier.cli.hierarchy import open_hierarchy
from keyhier.cli.plan_input import (
    ApplyOption,
    DocumentsArgument,
    FactOption,
    SpecOption,
    criteria,
    planned_key,
    read_documents,
)
from keyhier.cli.plan_output import (
    OutOption,
    PictureOption,
    PlanOutput,
    show_applied,
    show_plan,
)
from keyhier.cli.session import Session, hierarchy_command
from keyhier.errors import InvalidInputError
from keyhier.hierarchy.planned_sets import PlannedSets
from keyhier.placement import ArmId
from keyhier.plans import NewSet, SetKeeper, SetRequest, SetScenario, apply_set, plan_set

if TYPE_CHECKING:
    from keyhier.vault import Vault

__all__ = ["plan_encryption_set"]


@hierarchy_command
def plan_encryption_set(
    session: Session,
    *,
    scenario: Annotated[SetScenario, typer.Argument(help="What is to be done.")],
    documents: DocumentsArgument,
    encryption_set: Annotated[
        str | None,
        typer.Option("--set", metavar="NAME", help="Which set; its ARM id where it is made."),
    ] = None,
    location: Annotated[
        str | None, typer.Option(metavar="REGION", help="Where a new set is made.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The set's key, by its name or its id.")
    ] = None,
    key_in: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which key vault the key is in.")
    ] = None,
    spec: SpecOption = "RSA-3072",
    pinned: Annotated[
        bool, typer.Option("--pinned", help="A new set stays with one version of its key.")
    ] = False,
    encryption_type: Annotated[
        EncryptionType, typer.Option(help="What a new set encrypts with.")
    ] = EncryptionType.CUSTOMER_KEY,
    identity: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="A user-assigned identity of a new set, by its ARM id."),
    ] = None,
    federated_client_id: Annotated[
        str | None, typer.Option(metavar="ID", help="For a vault of another tenant.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(metavar="ID", help="The directory that a new set is made in.")
    ] = None,
    disk: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Which disks; by default all.")
    ] = None,
    fact: FactOption = None,
    rules: RulesOption = None,
    eligibility: EligibilityOption = "2026",
    out: OutOption = None,
    picture: PictureOption = None,
    force: ForceOption = False,
    apply: ApplyOption = False,
) -> None:
    """Plan a disk encryption set: make it, put disks under it, or rotate its key.

    A plan that an error speaks against is refused before any key is made. With --apply the set is
    kept in the records, too, where any are named.
    """
    output = PlanOutput(out, picture, force)
    described = read_documents(documents)
    new = None
    if scenario is SetScenario.CREATE:
        if encryption_set is None or location is None or key is None:
            raise InvalidInputError("a set is made of --set ID, --location and --key")
        new = NewSet(
            id=ArmId.parse(encryption_set),
            location=location,
            follow_latest=not pinned,
            encryption_type=encryption_type,
            user_identities=tuple(map(ArmId.parse, identity or ())),
            federated_client_id=federated_client_id,
            tenant=tenant,
        )
    elif (key is None) is (scenario is SetScenario.ROTATE_KEY):
        raise InvalidInputError(
            "a set's key is rotated with --key, and disks are put under a set without it",
            remedy="the set's keyUrl has its key's name: …/keys/NAME/VERSION",
        )
    request = SetRequest(
        scenario=scenario,
        documents=described,
        set=None if new else encryption_set,
        new=new,
        key=None if key is None else planned_key(described, key, key_in, spec),
        disks=tuple(disk or ()),
        **criteria(session, fact, rules, eligibility),
    )
    # Before a vault is opened, and before a PIN is asked for.
    plan = plan_set(request)
    if plan.refused or not apply:
        show_plan(session, plan, output)
        return
    if request.key is None:
        show_applied(session, apply_set(request, ()), output)
        return
    with _opened(session) as (vault, keeper):
        applied = apply_set(request, [vault], keeper=keeper)
        show_applied(session, applied, output)


@contextmanager
def _opened(session: Session) -> Iterator[tuple[Vault, SetKeeper | None]]:
    """Open the vault of the set's key, and the records where any are named."""
    if not session.settings.records_given():
        with session.open() as vault:
            yield vault, None
        return
    with open_hierarchy(session) as hierarchy:
        (vault,) = hierarchy.vaults
        yield vault, PlannedSets(hierarchy.sets)
