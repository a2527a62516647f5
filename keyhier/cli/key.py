"""`keyhier key`: key encryption keys in a vault."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rich.box import SIMPLE_HEAD
from rich.table import Table

from keyhier.cli.session import Session, vault_command
from keyhier.cli.text import moment, printable
from keyhier.errors import InvalidInputError, UnsupportedError
from keyhier.key import Key

__all__ = ["app"]

app = typer.Typer(help="Key encryption keys in a vault.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The key's name or id.")]
VersionOption = Annotated[
    str | None, typer.Option(metavar="VERSION", help="One version; by default the latest.")
]


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
) -> None:
    """List the keys of a vault."""
    with session.open() as vault:
        keys = list(vault.keys())
        if all_versions:
            keys = [version for key in keys for version in key.versions()]
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in ("name", "version", "spec", "wraps with", "state", "created"):
            table.add_column(column, overflow="fold")
        for key in keys:
            table.add_row(
                printable(key.name),
                printable(key.version),
                key.spec,
                _default(key) or "nothing safe",
                _state(key),
                moment(key.created) or "unknown",
            )
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
        key = vault.key(name, version)
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
        _show_made(session, vault.key(name).rotate())


@app.command("disable")
@vault_command
def disable(session: Session, *, name: NameArgument, version: VersionOption = None) -> None:
    """Stop a version of a key from being used."""
    with session.open() as vault:
        key = vault.key(name, version)
        key.disable()
        session.show(_document(key), f"disabled {printable(str(key.id))}")


@app.command("enable")
@vault_command
def enable(session: Session, *, name: NameArgument, version: VersionOption = None) -> None:
    """Let a version of a key be used again."""
    with session.open() as vault:
        key = vault.key(name, version)
        key.enable()
        session.show(_document(key), f"enabled {printable(str(key.id))}")


@app.command("delete")
@vault_command
def delete(
    session: Session,
    *,
    name: NameArgument,
    confirm: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The key's name again; asked for at a terminal."),
    ] = None,
) -> None:
    """Delete a key with all its versions; what they wrapped does not open any more."""
    with session.open() as vault:
        key = vault.key(name)
        key.delete(confirm=_confirmed(key) if confirm is None else confirm)
        recoverable = vault.capabilities.soft_delete
        session.show(
            {"deleted": key.name, "recoverable": recoverable},
            f"deleted {printable(key.name)} with all its versions"
            + (", which can be recovered until it is purged" if recoverable else ""),
        )


def _confirmed(key: Key) -> str:
    if not sys.stdin.isatty():
        raise InvalidInputError(
            f"to delete {key.name!r} with all its versions, give its name again",
            remedy=f"add --confirm {key.name}",
        )
    count = len(key.versions())
    question = f"Type its name to delete {printable(key.name)} with its {count} version(s)"
    answer: str = typer.prompt(question, err=True)
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


def _reason(key: Key) -> str | None:
    return key.default_reason if _default(key) else None


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
        "default_reason": _reason(key),
        "enabled": key.enabled,
        "created": moment(key.created),
        "thumbprint": key.thumbprint,
        "public_key": _pem(key),
    }


def _show_made(session: Session, key: Key) -> None:
    note = f"\nnote: {_reason(key)}" if _reason(key) else ""
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
        "because": _reason(key),
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
