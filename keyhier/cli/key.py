"""`keyhier key`: key encryption keys in a vault."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final

import typer
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rich.table import Table

from keyhier.cli.listing import Listing
from keyhier.cli.remedies import listed_by
from keyhier.cli.session import Session, find_key, vault_command
from keyhier.cli.text import moment, printable
from keyhier.errors import InvalidInputError, UnsupportedError
from keyhier.key import Key

__all__ = ["app"]

app = typer.Typer(help="Key encryption keys in a vault.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The key's name or id.")]
DeletedArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of a key that was deleted.")
]
VersionOption = Annotated[
    str | None, typer.Option(metavar="VERSION", help="One version; by default the latest.")
]
ConfirmOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The key's name again; asked for at a terminal."),
]

_DELETED_KEYS: Final = "keyhier key list --deleted"

# The columns of a list, and how soon each is left out on a narrow terminal.
_COLUMNS: Final = {
    "name": 0,
    "version": 1,
    "spec": 3,
    "wraps with": 4,
    "state": 2,
    "created": 5,
}


@app.command("create")
@vault_command
def create(
    session: Session,
    *,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="1 to 127 letters, digits and hyphens.")
    ],
    spec: Annotated[
        str,
        typer.Option(metavar="SPEC", help="RSA-2048, -3072 or -4096; AES-128, -192 or -256."),
    ] = "RSA-3072",
    algorithm: Annotated[
        str | None,
        typer.Option(metavar="ALG", help="AES only: the one algorithm that the key is for."),
    ] = None,
    extractable: Annotated[
        bool, typer.Option("--extractable", help="The vault may hand it out, wrapped.")
    ] = False,
) -> None:
    """Make a key that never leaves its vault in the clear."""
    with session.open() as vault:
        key = vault.create_key(name, spec, algorithm=algorithm, extractable=extractable)
        _show_made(session, key)


@app.command("list")
@vault_command
def list_keys(
    session: Session,
    *,
    all_versions: Annotated[
        bool, typer.Option("--all-versions", help="Every version, not only the latest.")
    ] = False,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="Those that are soft-deleted, by their names.")
    ] = False,
) -> None:
    """List the keys of a vault."""
    if deleted and all_versions:
        raise InvalidInputError("--deleted lists names, and --all-versions goes without it")
    with session.open() as vault:
        if deleted:
            names = vault.deleted()
            shown = "\n".join(map(printable, names)) or "no deleted keys"
            session.show({"deleted": names}, shown)
            return
        keys = list(vault.keys())
        if all_versions:
            keys = [version for key in keys for version in key.versions()]
        rows = [
            (
                printable(key.name),
                printable(key.version),
                key.spec,
                _default(key) or "nothing safe",
                _state(key),
                moment(key.created) or "unknown",
            )
            for key in keys
        ]
        table = Listing(_COLUMNS, rows)
        session.show({"keys": [_document(key) for key in keys]}, table if keys else "no keys")


@app.command("show")
@vault_command
def show(
    session: Session,
    *,
    name: NameArgument,
    version: VersionOption = None,
    public_key: Annotated[
        bool, typer.Option("--public-key", help="Only the public half of an RSA key, as PEM.")
    ] = False,
) -> None:
    """Show what is known of a key; never its secret half."""
    with session.open() as vault:
        key = find_key(vault, name, version)
        if public_key:
            pem = _pem(key)
            if pem is None:
                raise UnsupportedError(f"{key.id} is an {key.spec} key, which has no public half")
            session.show({"public_key": pem}, pem.removesuffix("\n"))
            return
        versions = key.versions()
        document = _document(key) | {
            "versions": [
                {"version": each.version, "enabled": each.enabled, "created": moment(each.created)}
                for each in versions
            ]
        }
        session.show(document, _details(key, versions))


@app.command("rotate")
@vault_command
def rotate(session: Session, *, name: NameArgument) -> None:
    """Make a new version of a key; what older ones wrapped still opens."""
    with session.open() as vault:
        _show_made(session, find_key(vault, name).rotate())


@app.command("disable")
@vault_command
def disable(session: Session, *, name: NameArgument, version: VersionOption = None) -> None:
    """Stop a version of a key from being used."""
    with session.open() as vault:
        key = find_key(vault, name, version)
        key.disable()
        _show_switched(session, key, "disabled")


@app.command("enable")
@vault_command
def enable(session: Session, *, name: NameArgument, version: VersionOption = None) -> None:
    """Let a version of a key be used again."""
    with session.open() as vault:
        key = find_key(vault, name, version)
        key.enable()
        _show_switched(session, key, "enabled")


@app.command("delete")
@vault_command
def delete(session: Session, *, name: NameArgument, confirm: ConfirmOption = None) -> None:
    """Delete a key with all its versions; what they wrapped does not open any more.

    Of a key that another program made on a token, that one key and no other of its name.
    """
    with session.open() as vault:
        key = find_key(vault, name)
        key.delete(confirm=_confirmed("delete", key.name) if confirm is None else confirm)
        recoverable = vault.capabilities.soft_delete
        session.show(
            {"deleted": key.name, "recoverable": recoverable},
            f"deleted {printable(key.name)}"
            + (", which can be recovered until it is purged" if recoverable else ""),
        )


@app.command("recover")
@vault_command
def recover(session: Session, *, name: DeletedArgument) -> None:
    """Bring a deleted key back with all its versions, where the vault has soft delete."""
    with session.open() as vault, listed_by(_DELETED_KEYS, vault):
        _show_switched(session, vault.recover_key(name), "recovered")


@app.command("purge")
@vault_command
def purge(session: Session, *, name: DeletedArgument, confirm: ConfirmOption = None) -> None:
    """Destroy a deleted key for ever; nothing opens what it wrapped."""
    with session.open() as vault, listed_by(_DELETED_KEYS, vault):
        again = _confirmed("purge", name) if confirm is None else confirm
        vault.purge_key(name, confirm=again)
        session.show({"purged": name}, f"purged {printable(name)}")


def _confirmed(verb: str, name: str) -> str:
    if not sys.stdin.isatty():
        raise InvalidInputError(
            f"to {verb} {name!r}, give its name again", remedy=f"add --confirm {name}"
        )
    answer: str = typer.prompt(f"Type its name to {verb} {printable(name)}", err=True)
    return answer


def _pem(key: Key) -> str | None:
    if key.public_key is None:
        return None
    return key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _default(key: Key) -> str | None:
    try:
        return key.default_algorithm
    except UnsupportedError:
        return None


def _state(key: Key) -> str:
    return "enabled" if key.enabled else "disabled"


def _document(key: Key) -> dict[str, Any]:
    return {
        "id": str(key.id),
        "name": key.name,
        "version": key.version,
        "spec": key.spec,
        "algorithms": list(key.algorithms),
        "default_algorithm": _default(key),
        "default_reason": key.default_reason,
        "enabled": key.enabled,
        "created": moment(key.created),
        "thumbprint": key.thumbprint,
        "public_key": _pem(key),
    }


def _show_made(session: Session, key: Key) -> None:
    note = f"\nnote: {key.default_reason}" if key.default_reason else ""
    session.show(_document(key), f"made {printable(str(key.id))} ({key.spec}){note}")


def _details(key: Key, versions: list[Key]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows = {
        "id": printable(str(key.id)),
        "spec": key.spec,
        "algorithms": ", ".join(key.algorithms),
        "default": _default(key) or "nothing safe",
        "because": key.default_reason,
        "state": _state(key),
        "created": moment(key.created) or "unknown",
        "thumbprint": key.thumbprint,
        "versions": "\n".join(
            f"{printable(each.version)}  {moment(each.created) or 'unknown'}  {_state(each)}"
            for each in versions
        ),
        "public key": (_pem(key) or "").removesuffix("\n"),
    }
    for label, value in rows.items():
        if value:
            table.add_row(label, value)
    return table


def _show_switched(session: Session, key: Key, state: str) -> None:
    session.show(_document(key), f"{state} {printable(str(key.id))}")
