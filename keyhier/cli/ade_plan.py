"""`keyhier ade plan`: the way to encrypt or decrypt a machine, checked before a key is made."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from typing import Annotated

import typer

from keyhier.azure_disk.labels import read_algorithm
from keyhier.azure_disk.machine import Scenario
from keyhier.azure_disk.settings import Application
from keyhier.cli.ade_protect import read_disk_key
from keyhier.cli.ade_vaults import AlgorithmOption, KekVaultOption, opened
from keyhier.cli.chosen_rules import EligibilityOption, RulesOption
from keyhier.cli.envelope import ForceOption
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
from keyhier.cli.session import Session, vault_command
from keyhier.errors import InvalidInputError
from keyhier.placement.model import Volumes
from keyhier.plans import AdeRequest, apply_ade, plan_ade

__all__ = ["plan_machine"]


class AdeScenario(StrEnum):
    """What is planned, as the command says it."""

    ENABLE_NEW = Scenario.ENABLE_NEW.value
    ENABLE_EXISTING = Scenario.ENABLE_EXISTING.value
    ENABLE_OWN_VHD = Scenario.ENABLE_OWN_VHD.value
    DISABLE = Scenario.DISABLE.value
    UPDATE = Scenario.UPDATE.value


class VolumeChoice(StrEnum):
    """Which volumes, as the command says it."""

    ALL = "all"
    OS = "os"
    DATA = "data"


@vault_command
def plan_machine(
    session: Session,
    *,
    scenario: Annotated[AdeScenario, typer.Argument(help="What is to be done.")],
    documents: DocumentsArgument,
    machine: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which machine, where there are several.")
    ] = None,
    secrets_in: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which key vault is for the secrets.")
    ] = None,
    kek: Annotated[
        str | None, typer.Option(metavar="KEY", help="The KEK, by its name or its id.")
    ] = None,
    kek_in: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which key vault the KEK is in.")
    ] = None,
    spec: SpecOption = "RSA-3072",
    algorithm: AlgorithmOption = None,
    volumes: Annotated[VolumeChoice | None, typer.Option(help="Which volumes.")] = None,
    format_all: Annotated[
        bool, typer.Option("--format-all", help="Format data disks: what is on them is lost.")
    ] = False,
    application: Annotated[
        str | None, typer.Option(metavar="ID", help="Dual-pass: the application's client id.")
    ] = None,
    thumbprint: Annotated[
        str | None, typer.Option(metavar="HEX", help="Dual-pass: of its certificate.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--in", metavar="FILE", help="With --apply: the key of a disk of your own."),
    ] = None,
    fact: FactOption = None,
    rules: RulesOption = None,
    eligibility: EligibilityOption = "2026",
    out: OutOption = None,
    picture: PictureOption = None,
    force: ForceOption = False,
    apply: ApplyOption = False,
    kek_vault: KekVaultOption = None,
) -> None:
    """Plan how a machine is encrypted or decrypted by Azure Disk Encryption.

    It shows what is checked, which keys are made, what is deployed, and how it is undone. A plan
    that an error speaks against is refused before any key is made.
    """
    output = PlanOutput(out, picture, force)
    described = read_documents(documents)
    if source is not None and not apply:
        raise InvalidInputError("--in goes with --apply")
    if kek is None and (kek_in is not None or algorithm is not None):
        raise InvalidInputError("--kek-in and --algorithm go with --kek")
    request = AdeRequest(
        scenario=Scenario(scenario.value),
        documents=described,
        machine=machine,
        key_vault=secrets_in,
        kek=None if kek is None else planned_key(described, kek, kek_in or secrets_in, spec),
        algorithm=read_algorithm(algorithm or "RSA-OAEP"),
        volumes=None if volumes is None else Volumes[volumes.name],
        format_all=format_all,
        application=_application(application, thumbprint),
        **criteria(session, fact, rules, eligibility),
    )
    # Before a vault is opened, and before a PIN is asked for.
    plan = plan_ade(request)
    if plan.refused or not apply:
        show_plan(session, plan, output)
        return
    with ExitStack() as stack:
        disk_key = None if source is None else stack.enter_context(read_disk_key(source, None))
        needed = request.kek is not None or disk_key is not None
        uri = session.settings.vault_uri() if needed else None
        vaults = stack.enter_context(opened(session, uri, kek_vault))
        applied = apply_ade(request, vaults, disk_key=disk_key)
        show_applied(session, applied, output)


def _application(client_id: str | None, thumbprint: str | None) -> Application | None:
    if client_id is None:
        if thumbprint is not None:
            raise InvalidInputError("--thumbprint goes with --application")
        return None
    secret = "aadClientSecret" if thumbprint is None else None  # A parameter's name.
    return Application(client_id, thumbprint, secret)
