"""`keyhier set`: encryption sets, and the disks in them."""

from __future__ import annotations

import json
from typing import Annotated, Final

import typer

from keyhier.azure_disk.set_resource import EncryptionType
from keyhier.cli import files
from keyhier.cli.hierarchy import open_hierarchy
from keyhier.cli.listing import Listing
from keyhier.cli.session import Session, hierarchy_command
from keyhier.cli.text import moment, printable
from keyhier.errors import InvalidInputError, InvalidStateError
from keyhier.hierarchy.encryption_set import EncryptionSet
from keyhier.hierarchy.facade import Hierarchy
from keyhier.hierarchy.reference import KeyReference
from keyhier.hierarchy.set_arm import from_arm, to_arm
from keyhier.hierarchy.set_document import to_document
from keyhier.hierarchy.volume import Volume
from keyhier.identifiers import KeyId
from keyhier.placement.place import Placement
from keyhier.placement.unknown import UNKNOWN

__all__ = ["app"]

app = typer.Typer(help="Encryption sets, and the disks in them.", no_args_is_help=True)

_COLUMNS: Final = {"name": 0, "key": 1, "follows": 3, "previous": 4, "last rotation": 5, "error": 2}

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The set's name.")]
KeyOption = Annotated[str, typer.Option(metavar="ID", help="The key: a name or an id.")]
FollowOption = Annotated[
    bool, typer.Option("--follow/--pin", help="Follow the latest version, or stay with one.")
]
VmOption = Annotated[str, typer.Option(metavar="NAME", help="The machine.")]
VolumeOption = Annotated[str, typer.Option(metavar="NAME", help="Its volume.")]


@app.command("create")
@hierarchy_command
def create(
    session: Session,
    *,
    name: NameArgument,
    key: KeyOption,
    follow: FollowOption = True,
    encryption_type: Annotated[
        EncryptionType, typer.Option(help="What it encrypts with.")
    ] = EncryptionType.CUSTOMER_KEY,
    region: Annotated[str | None, typer.Option(metavar="NAME", help="Where it is.")] = None,
    subscription: Annotated[str | None, typer.Option(metavar="ID", help="Whose it is.")] = None,
) -> None:
    """Make an encryption set."""
    place = Placement(region or UNKNOWN, subscription or UNKNOWN)
    with open_hierarchy(session) as hierarchy:
        made = hierarchy.sets.create(
            name,
            _reference(hierarchy, key, follow=follow),
            encryption_type=encryption_type,
            placement=place,
        )
    _show(session, made)


@app.command("list")
@hierarchy_command
def list_sets(session: Session) -> None:
    """List the encryption sets."""
    with open_hierarchy(session, read_only=True) as hierarchy:
        found = hierarchy.sets.all()
    rows = [
        tuple(
            map(
                printable,
                (
                    each.name,
                    str(each.active),
                    "latest" if each.reference.follows else "",
                    str(len(each.previous) or ""),
                    moment(each.last_rotation) or "",
                    each.rotation_error.code if each.rotation_error else "",
                ),
            )
        )
        for each in found
    ]
    document = {"sets": [to_document(each) for each in found]}
    session.show(document, Listing(_COLUMNS, rows) if rows else "no sets")


@app.command("show")
@hierarchy_command
def show(session: Session, *, name: NameArgument) -> None:
    """Show an encryption set."""
    with open_hierarchy(session, read_only=True) as hierarchy:
        found = hierarchy.sets.get(name)
    _show(session, found)


@app.command("delete")
@hierarchy_command
def delete(session: Session, *, name: NameArgument) -> None:
    """Delete an encryption set that no disk is in."""
    with open_hierarchy(session) as hierarchy:
        hierarchy.sets.delete(name)
    session.show({"deleted": name}, f"deleted {printable(name)}")


@app.command("refer")
@hierarchy_command
def refer(
    session: Session, *, name: NameArgument, key: KeyOption, follow: FollowOption = True
) -> None:
    """Let a set refer to another key or version, or follow the latest."""
    with open_hierarchy(session) as hierarchy:
        changed = hierarchy.sets.refer(name, _reference(hierarchy, key, follow=follow))
    _show(session, changed.set)


@app.command("observe")
@hierarchy_command
def observe(session: Session, *, name: NameArgument) -> None:
    """Look whether a set's key has a new version, and rotate where it has."""
    with open_hierarchy(session) as hierarchy:
        seen = hierarchy.observe(name)
    lines = [f"{printable(name)} uses {printable(str(seen.set.active))}"]
    if seen.moved_from is not None:
        lines.append(f"it used {printable(str(seen.moved_from))} before")
    if seen.rotation is not None:
        state = "done" if seen.rotation.complete else "not complete: run it again"
        lines.append(f"rotation {seen.rotation.job.id}: {state}")
    if seen.set.rotation_error is not None:
        lines.append(f"not rotated: {printable(seen.set.rotation_error.message)}")
    session.show(
        {
            "set": to_document(seen.set),
            "moved_from": None if seen.moved_from is None else str(seen.moved_from),
            "settled_at": seen.settled_at and seen.settled_at.isoformat(),
            "rotation": seen.rotation and seen.rotation.job.id,
        },
        "\n".join(lines),
    )
    if seen.rotation is not None and not seen.rotation.complete:
        raise InvalidStateError(
            f"the rotation {seen.rotation.job.id} is not complete", remedy="run it again"
        )


@app.command("join")
@hierarchy_command
def join(session: Session, *, name: NameArgument, vm: VmOption, volume: VolumeOption) -> None:
    """Take a disk into a set."""
    with open_hierarchy(session) as hierarchy:
        record = hierarchy.sets.join(name, hierarchy.find(Volume(vm, volume)))
    session.show({"record": record.id, "set": name}, f"{record.id} is in {printable(name)}")


@app.command("leave")
@hierarchy_command
def leave(session: Session, *, vm: VmOption, volume: VolumeOption) -> None:
    """Take a disk out of its set."""
    with open_hierarchy(session) as hierarchy:
        record = hierarchy.sets.leave(hierarchy.find(Volume(vm, volume)))
    session.show({"record": record.id, "set": None}, f"{record.id} is in no set")


@app.command("export")
@hierarchy_command
def export(
    session: Session,
    *,
    name: NameArgument,
    state: Annotated[
        bool, typer.Option("--state", help="With what Azure alone writes, such as previous keys.")
    ] = False,
) -> None:
    """Write a set as ARM's JSON: Microsoft.Compute/diskEncryptionSets."""
    with open_hierarchy(session, read_only=True) as hierarchy:
        document = to_arm(hierarchy.sets.get(name), state=state)
    session.show(document, json.dumps(document, indent=2))


@app.command("import")
@hierarchy_command
def import_set(
    session: Session,
    *,
    source: Annotated[str, typer.Argument(metavar="FILE", help="ARM's JSON; - is stdin.")],
) -> None:
    """Take a set over from ARM's JSON."""
    with files.read(source) as content:
        try:
            document = json.loads(content.reveal())
        except (ValueError, RecursionError):
            document = None
    if document is None:
        raise InvalidInputError(f"{source} holds no JSON")
    wanted = from_arm(document)
    with open_hierarchy(session) as hierarchy:
        made = hierarchy.sets.add(wanted)
    _show(session, made)


def _reference(hierarchy: Hierarchy, key: str, *, follow: bool) -> KeyReference:
    found: KeyId = hierarchy.find_key(key)
    if follow:
        return KeyReference.following(found)
    return KeyReference.pinned(found if found.version else hierarchy.keyring.latest(found).id)


def _show(session: Session, found: EncryptionSet) -> None:
    lines = [
        f"{found.name}: {found.reference}",
        f"uses {found.active}",
        *(f"rotating away from {key}" for key in found.previous),
        *([f"not rotated: {found.rotation_error.message}"] if found.rotation_error else []),
        *(f"warning: {each}" for each in found.warnings),
    ]
    session.show(to_document(found), "\n".join(map(printable, lines)))
