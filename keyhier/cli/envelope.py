"""`keyhier wrap` and `keyhier unwrap`: secrets into envelopes and out of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from keyhier.cli import files
from keyhier.cli.session import Session, find_key, vault_command
from keyhier.cli.text import printable
from keyhier.errors import InvalidInputError
from keyhier.secret import Secret, SecretBytes
from keyhier.volume import BitLockerKey, LinuxPassphrase
from keyhier.wrapped import WrappedKey

__all__ = ["ContextOption", "ForceOption", "envelope_document", "parse_context", "unwrap", "wrap"]

ContextOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="What the secret is bound to; several are fine."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]


class SecretKind(StrEnum):
    """What a secret is, as ``wrap --type`` says it."""

    BITLOCKER = "bitlocker"
    LUKS = "luks"
    OCTET_STREAM = "octet-stream"


@vault_command
def wrap(
    session: Session,
    *,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The name or id of the KEK.")],
    source: Annotated[
        str, typer.Option("--in", metavar="FILE", help="The secret; - is standard input.")
    ],
    out: Annotated[
        str, typer.Option(metavar="FILE", help="For the envelope; - is standard output.")
    ] = files.STANDARD,
    context: ContextOption = None,
    kind: Annotated[
        SecretKind | None,
        typer.Option("--type", help="By default bitlocker for *.BEK, else octet-stream."),
    ] = None,
    algorithm: Annotated[
        str | None, typer.Option(metavar="ALG", help="By default the key's safest.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Wrap a secret into an envelope: one line of text, which is public."""
    bound = parse_context(context)
    with (
        files.read_secret(source) as content,
        _checked(content, kind or _kind_of(source)) as secret,
        session.open() as vault,
    ):
        wrapped = find_key(vault, key).wrap(secret, context=bound, algorithm=algorithm)
    shown = str(wrapped)
    if out != files.STANDARD:
        files.write_line(out, shown, force=force)
        shown = f"wrapped into {printable(out)}"
    session.show(envelope_document(wrapped), shown)


@vault_command
def unwrap(
    session: Session,
    *,
    source: Annotated[
        str, typer.Option("--in", metavar="FILE", help="The envelope; - is standard input.")
    ],
    out: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="A file; a folder, which gets a BitLocker key as <GUID>.BEK; or -, "
            "standard output that is no terminal.",
        ),
    ],
    context: ContextOption = None,
    force: ForceOption = False,
) -> None:
    """Open an envelope and write the secret to a file of mode 0600."""
    session.leave_stdout_to_secret(out)
    expected = parse_context(context)
    with files.read(source) as content:
        wrapped = files.as_envelope(content)
    into_folder = out != files.STANDARD and Path(out).is_dir()
    if into_folder and wrapped.content_type != BitLockerKey.content_type:
        raise InvalidInputError(f"{out} is a folder; only a BitLocker key has a name of its own")
    with session.open() as vault, vault.unwrap(wrapped, context=expected) as secret:
        if into_folder:
            with BitLockerKey.from_bytes(secret) as bek:
                out = str(bek.write(out, overwrite=force))
        else:
            files.write_secret(out, secret, force=force)
        count = len(secret)
    if out != files.STANDARD:
        document = {
            "written": out,
            "bytes": count,
            "kid": str(wrapped.kid),
            "content_type": wrapped.content_type,
        }
        session.show(document, f"unwrapped into {printable(out)}")


def parse_context(pairs: Iterable[str] | None) -> Mapping[str, str]:
    """Read ``NAME=VALUE`` pairs; a value may hold further equals signs.

    Raises:
        InvalidInputError: a pair has no equals sign or no name, or a name stands there twice.
    """
    context: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InvalidInputError(f"--context takes NAME=VALUE, not {pair!r:.80}")
        if name in context:
            raise InvalidInputError(f"--context names {name!r:.80} twice")
        context[name] = value
    return context


def envelope_document(wrapped: WrappedKey) -> dict[str, Any]:
    """Return what is told of an envelope that was made."""
    return {
        "wrapped": str(wrapped),
        "kid": str(wrapped.kid),
        "algorithm": wrapped.algorithm,
        "content_type": wrapped.content_type,
        "context": dict(wrapped.context),
    }


def _kind_of(source: str) -> SecretKind:
    is_bek = source.upper().endswith(".BEK")
    return SecretKind.BITLOCKER if is_bek else SecretKind.OCTET_STREAM


@contextmanager
def _checked(content: SecretBytes, kind: SecretKind) -> Iterator[Secret]:
    """Lend the secret as what it is said to be, once it is known to be that."""
    match kind:
        case SecretKind.BITLOCKER:
            with BitLockerKey.from_bytes(content) as bek:
                yield bek
        case SecretKind.LUKS:
            with LinuxPassphrase.from_bytes(content) as passphrase:
                yield passphrase
        case _:
            yield content
