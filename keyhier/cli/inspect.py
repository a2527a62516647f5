"""`keyhier inspect`: what is in a wrapped key or a .BEK file; no secret is shown."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import typer
from rich.console import Group
from rich.table import Table

from keyhier import base64url
from keyhier.cli import files
from keyhier.cli.session import Session, json_command
from keyhier.cli.text import moment, printable
from keyhier.errors import InvalidInputError
from keyhier.secret import SecretBytes
from keyhier.volume import BitLockerKey
from keyhier.wrapped import WrappedKey

__all__ = ["header_table", "inspect", "read_header"]

# The version and the header's size, which follow the file's size.
_BEK_START: Final = bytes.fromhex("01000000 30000000")
# How base64url writes the start of a JSON object.
_ENVELOPE_START: Final[bytes] = b"ey"


@json_command
def inspect(
    session: Session,
    *,
    source: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A wrapped key or a .BEK file; - is standard input."),
    ],
) -> None:
    """Show what is in a wrapped key or a .BEK file. Needs no vault and shows no secret."""
    with files.read(source) as content:
        start = content.view()
        if source.upper().endswith(".BEK") or start[4:12] == _BEK_START:
            _show_bek(session, content)
        elif start[:2] == _ENVELOPE_START:
            _show_envelope(session, files.as_envelope(content))
        else:
            raise InvalidInputError("this is neither a wrapped key nor a .BEK file")


def read_header(wrapped: WrappedKey) -> dict[str, Any]:
    """Return the protected header's members, as they stand in the envelope."""
    header: dict[str, Any] = json.loads(base64url.decode(wrapped.protected))
    return header


def header_table(wrapped: WrappedKey) -> Table:
    """Return the protected header as a table."""
    table = _fields()
    for name, value in read_header(wrapped).items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        table.add_row(name, printable(text))
    return table


def _show_envelope(session: Session, wrapped: WrappedKey) -> None:
    segments = {
        "header": len(wrapped.protected),
        "encrypted_key": len(wrapped.encrypted_key),
        "iv": len(wrapped.iv),
        "ciphertext": len(wrapped.ciphertext),
        "tag": len(wrapped.tag),
    }
    kid = wrapped.kid
    document = {
        "kind": "wrapped-key",
        "header": read_header(wrapped),
        "segments": segments,
        "opens_with": {
            "scheme": kid.scheme,
            "vault": kid.vault or None,
            "name": kid.name,
            "version": kid.version,
        },
    }
    rest = _fields()
    where = f"{kid.scheme}: vault {printable(kid.vault)}" if kid.vault else f"a {kid.scheme}: vault"
    rest.add_row("opens with", f"key {printable(kid.name)}, version {kid.version}, in {where}")
    rest.add_row("seals", f"{segments['ciphertext']} bytes")
    rest.add_row("has", f"{len(str(wrapped))} characters")
    session.show(document, Group("A wrapped key", header_table(wrapped), "", rest))


def _show_bek(session: Session, content: SecretBytes) -> None:
    with BitLockerKey.from_bytes(content) as bek:
        document = {
            "kind": "bitlocker-key",
            "identifier": str(bek.identifier).upper(),
            "filename": bek.filename,
            "description": bek.description,
            "volume_id": None if bek.volume_id is None else str(bek.volume_id).upper(),
            "created": moment(bek.created),
            "modified": moment(bek.modified),
            "bytes": len(content),
        }
    table = _fields()
    for name in ("identifier", "description", "volume_id", "created", "modified"):
        table.add_row(name.replace("_id", " id"), printable(str(document[name] or "none")))
    table.add_row("file", f"{document['filename']}, {document['bytes']} bytes")
    session.show(document, Group("A BitLocker external key (its key is not shown)", table))


def _fields() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True, min_width=10)
    table.add_column(overflow="fold")
    return table
