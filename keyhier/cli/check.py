"""`keyhier check`: files and live resources against the rules, before anything is done."""

from __future__ import annotations

import gc
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from keyhier.azure_disk.facts import read_facts
from keyhier.checks.check import Eligibility, check_documents
from keyhier.checks.files import Files
from keyhier.cli.chosen_rules import RulesOption, chosen_placement
from keyhier.cli.files import STANDARD, write_line
from keyhier.cli.live import read_live
from keyhier.cli.plan_input import FactOption
from keyhier.cli.session import Session, profile_command
from keyhier.cli.text import printable
from keyhier.cli.vault import EXIT_BY_SEVERITY
from keyhier.doctor import Severity
from keyhier.errors import (
    AccessDeniedError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from keyhier.placement.arm.deployment import Deployment
from keyhier.placement.json_text import MAX_BYTES
from keyhier.placement.junit import as_junit
from keyhier.placement.report import Report
from keyhier.placement.report_text import as_text
from keyhier.placement.resources import Document
from keyhier.placement.sarif import as_sarif
from keyhier.placement.unknown import UNKNOWN

__all__ = ["check"]


_REST: Final = (
    "to check the rest, give the documents or parameters that tell what is not known, the options"
    " --subscription, --resource-group, --location and --tenant for templates, or --live and ids;"
    " for eligibility, --fact NAME=VALUE tells what no document does"
)


class Format(StrEnum):
    """How the report is written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"


class FailOn(StrEnum):
    """From which severity on the command fails."""

    WARNING = "warning"
    ERROR = "error"
    NEVER = "never"


@profile_command
def check(
    session: Session,
    *,
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE…",
            help="ARM templates and their parameters, resources as `az … show` prints them, "
            "`terraform show -json`, keyhier's plans; - is standard input. With --live ids.",
            show_default=False,
        ),
    ],
    live: Annotated[
        bool, typer.Option("--live", help="Fetch resources from Azure by their ARM ids.")
    ] = False,
    parameters: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Parameters for all templates; more than once."),
    ] = None,
    rules: RulesOption = None,
    eligibility: Annotated[
        str, typer.Option(metavar="YEAR", help="The eligibility rules: 2018, 2023 or 2026.")
    ] = "2026",
    fact: FactOption = None,
    subscription: Annotated[
        str | None, typer.Option(metavar="ID", help="Where templates are deployed to.")
    ] = None,
    resource_group: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where templates are deployed to.")
    ] = None,
    location: Annotated[
        str | None, typer.Option(metavar="REGION", help="The region of that resource group.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(metavar="ID", help="The directory of that subscription.")
    ] = None,
    output: Annotated[
        Format, typer.Option("--format", help="How the report is written.")
    ] = Format.TEXT,
    out: Annotated[
        str, typer.Option(metavar="PATH", help="Write the report there; - is standard output.")
    ] = STANDARD,
    fail_on: Annotated[
        FailOn, typer.Option(help="Which findings make the command fail.")
    ] = FailOn.WARNING,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Another Azure Resource Manager, for --live.")
    ] = None,
) -> None:
    """Check placement, eligibility and settings of disk encryption, before a key moves.

    A profile's table of placement says which rules, and where vaults are that no document tells of.

    Ends with 0 where the worst finding is a note, 20 where it is a warning or something could not
    be checked, and 21 where it is an error.
    """
    # What is read and found holds no cycles, and is there until the command ends.
    gc.disable()
    placement = chosen_placement(session, rules)
    wanted = Eligibility(eligibility, read_facts(fact or (), planned=False))
    files = Files(
        Deployment(
            "",
            subscription or UNKNOWN,
            resource_group or UNKNOWN,
            location or UNKNOWN,
            tenant or UNKNOWN,
        )
    )
    for path in parameters or ():
        files.add_parameters(path, _read(path))
    found: list[Document] = []
    if live:
        fetched = read_live(what, endpoint)
        found += fetched.found
        files.troubles += fetched.troubles
    else:
        for path in dict.fromkeys(what):
            files.add(path, _read(path))
        for each in files.documents():
            found += each.found
            files.troubles += each.troubles
    report = check_documents(found, files.troubles, placement, wanted, files.locate)
    if session.settings.as_json and output not in {Format.TEXT, Format.JSON}:
        raise InvalidInputError(f"--json and --format {output} both say how to write the report")
    _write(report, Format.JSON if session.settings.as_json else output, out)
    raise typer.Exit(_exit_code(report, fail_on))


def _exit_code(report: Report, fail_on: FailOn) -> int:
    if fail_on is FailOn.NEVER or report.worst.rank < Severity(fail_on.value).rank:
        return 0
    return EXIT_BY_SEVERITY[report.worst]


def _read(path: str) -> bytes:
    """Read a file, and no more of it than is read of any."""
    try:
        if path == STANDARD:
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with Path(path).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}") from None
    except PermissionError as error:
        raise AccessDeniedError(f"{path} cannot be read: {error.strerror}") from None
    except IsADirectoryError:
        raise InvalidInputError(f"{path} is a folder", remedy="name the files in it") from None
    except ValueError:
        raise InvalidInputError(f"{path!r:.200} is no name that a file can have") from None
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror}") from None


def _write(report: Report, output: Format, out: str) -> None:
    text = _formatted(report, output)
    if out == STANDARD:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        write_line(out, text.removesuffix("\n"), force=True)


def _formatted(report: Report, output: Format) -> str:
    match output:
        case Format.TEXT:
            lines = [*as_text(report).splitlines(), *([_REST] if report.not_checked else ())]
            return "".join(f"{printable(line)}\n" for line in lines)
        case Format.JSON:
            return _json(report.as_dict())
        case Format.SARIF:
            return _json(as_sarif(report))
        case Format.JUNIT:
            return as_junit(report)


def _json(document: dict[str, Any]) -> str:
    return f"{json.dumps(document, indent=2)}\n"
