"""`keyhier protect`, `keyhier recover` and `keyhier kek`: keys into records and out of them."""

from __future__ import annotations

from typing import Annotated

import typer

from keyhier.cli import files
from keyhier.cli.envelope import ForceOption
from keyhier.cli.hierarchy import hierarchy_settings, open_hierarchy
from keyhier.cli.session import Session, hierarchy_command, records_command
from keyhier.cli.text import printable
from keyhier.errors import InvalidInputError
from keyhier.hierarchy.context import context_of
from keyhier.hierarchy.protection import WARNINGS
from keyhier.hierarchy.recovery_key import open_recovery
from keyhier.hierarchy.volume import Volume
from keyhier.placement.place import Placement
from keyhier.placement.unknown import UNKNOWN
from keyhier.secret import SecretBytes
from keyhier.volume import BitLockerKey, LinuxPassphrase

__all__ = ["create_kek", "protect", "recover", "recover_offline"]

VmOption = Annotated[str, typer.Option(metavar="NAME", help="The machine.")]
VolumeOption = Annotated[str, typer.Option(metavar="NAME", help="Its volume: C:, /dev/sdb.")]
OutOption = Annotated[str, typer.Option(metavar="FILE", help="For the key; - is standard output.")]
RecordOption = Annotated[
    str | None, typer.Option(metavar="ID", help="The record, in place of machine and volume.")
]


@hierarchy_command
def protect(
    session: Session,
    *,
    source: Annotated[str, typer.Argument(metavar="FILE", help="The volume's key; - is stdin.")],
    vm: VmOption,
    volume: VolumeOption,
    under: Annotated[
        str | None, typer.Option(metavar="KEY", help="The KEK; for a set, one under its key.")
    ] = None,
    set_name: Annotated[
        str | None, typer.Option("--set", metavar="NAME", help="The encryption set it joins.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="May be repeated.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put a key that it has already aside.")
    ] = False,
    region: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the machine is.")
    ] = None,
    subscription: Annotated[
        str | None, typer.Option(metavar="ID", help="Whose the machine is.")
    ] = None,
) -> None:
    """Wrap a volume's key and keep it in a record.

    Where the profile has a table of placement, the KEK's vault, or the set, has to be where the
    machine is.
    """
    told = region is not None or subscription is not None
    if told and hierarchy_settings(session).placement is None:
        raise InvalidInputError(
            "nobody asks where the machine is: the profile has no table of placement",
            remedy="leave --region and --subscription out, or write a table"
            " [profiles.NAME.placement] into keyhier.toml and name the profile with --profile",
        )
    labels = dict(_pair(each) for each in label or ())
    place = Placement(region or UNKNOWN, subscription or UNKNOWN)
    target = Volume(vm, volume, set_name, labels, place)
    with (
        files.read_secret(source) as secret,
        _typed(secret) as volume_key,
        open_hierarchy(session) as hierarchy,
    ):
        record = hierarchy.protect(target, volume_key, under=under, replace=replace)
    warnings = record.details.get(WARNINGS, ())
    lines = (
        f"protected {printable(str(target))} in record {record.id}",
        f"under {printable(str(record.key))}",
        *(f"warning: {printable(each)}" for each in warnings),
    )
    session.show(
        {"record": record.id, "key": str(record.key), "warnings": list(warnings)}, "\n".join(lines)
    )


@hierarchy_command
def recover(
    session: Session,
    *,
    out: OutOption,
    vm: Annotated[str | None, typer.Option(metavar="NAME", help="The machine.")] = None,
    volume: Annotated[str | None, typer.Option(metavar="NAME", help="Its volume.")] = None,
    record: RecordOption = None,
    force: ForceOption = False,
) -> None:
    """Unwrap a volume's key from its record."""
    session.leave_stdout_to_secret(out)
    wanted = _wanted(vm, volume, record)
    with (
        open_hierarchy(session, read_only=True) as hierarchy,
        hierarchy.recover(wanted) as secret,
    ):
        files.write_secret(out, secret, force=force)
    if out != files.STANDARD:
        session.show({"written": out}, f"wrote {printable(out)}")


@records_command
def recover_offline(
    session: Session,
    *,
    private_key: Annotated[
        str, typer.Option("--private-key", metavar="PEM", help="The recovery key's private half.")
    ],
    record: Annotated[str, typer.Option(metavar="ID", help="The record.")],
    out: OutOption,
    force: ForceOption = False,
) -> None:
    """Open a record's recovery envelope with the offline key, without any vault."""
    session.leave_stdout_to_secret(out)
    with session.open_records(read_only=True) as store:
        found = store.get(record)
    if found.recovery is None:
        raise InvalidInputError(f"the record {found.id} has no recovery envelope")
    with (
        files.read_secret(private_key) as pem,
        open_recovery(found.recovery, pem, context=context_of(found)) as secret,
    ):
        files.write_secret(out, secret, force=force)
    if out != files.STANDARD:
        session.show({"written": out}, f"wrote {printable(out)}")


@hierarchy_command
def create_kek(
    session: Session,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the KEK.")],
    under: Annotated[str, typer.Option(metavar="KEY", help="The KEK above it.")],
) -> None:
    """Make a KEK that is kept in a record, under another KEK."""
    with open_hierarchy(session) as hierarchy:
        made = hierarchy.create_kek(name, under=under)
    lines = [f"made {printable(str(made.id))}", f"thumbprint {made.thumbprint}"]
    if not made.believed:
        lines += [
            "it wraps once keyhier.toml has its thumbprint among the pins of the profile:",
            f'"{printable(str(made.id))}" = "{made.thumbprint}"',
        ]
    document = {
        "key": str(made.id),
        "thumbprint": made.thumbprint,
        "record": made.record.id,
        "believed": made.believed,
    }
    session.show(document, "\n".join(lines))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InvalidInputError("a label is given as NAME=VALUE")
    return name, value


def _wanted(vm: str | None, volume: str | None, record: str | None) -> Volume | str:
    if record is not None:
        if vm is not None or volume is not None:
            raise InvalidInputError("--record names the volume already")
        return record
    if vm is None or volume is None:
        raise InvalidInputError("a volume is named by --vm and --volume, or by --record")
    return Volume(vm, volume)


def _typed(secret: SecretBytes) -> SecretBytes | BitLockerKey | LinuxPassphrase:
    """Return what the bytes are, so that the envelope can say it."""
    for kind in (BitLockerKey, LinuxPassphrase):
        try:
            return kind.from_bytes(secret)
        except InvalidInputError:
            continue
    return secret
