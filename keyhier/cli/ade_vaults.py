"""The vaults of an `ade` command: that of the secrets, and those that a KEK may be in.

A vault is opened because the command line, the environment or the configuration names it, and
never because a tag does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from keyhier.azure_disk import BackupConfig, KekReference
from keyhier.cli import files
from keyhier.cli.session import VAULT_VARIABLE, Session, Settings
from keyhier.errors import InvalidInputError, NotFoundError
from keyhier.stored_secret import SecretId
from keyhier.uri import VaultUri

if TYPE_CHECKING:
    from keyhier.vault import Vault

__all__ = [
    "AlgorithmOption",
    "BackupOption",
    "KekVaultOption",
    "kek_of_backup",
    "kek_override",
    "opened",
    "read_backup",
    "require_own",
    "uri_for",
]

KekVaultOption = Annotated[
    list[str] | None,
    typer.Option(metavar="URI", help="Another vault that a KEK may be in; several are fine."),
]
AlgorithmOption = Annotated[
    str | None,
    typer.Option(metavar="ALG", help="RSA-OAEP, the default, RSA-OAEP-256 or RSA1_5."),
]
BackupOption = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Azure Backup's vmencryption_config.json."),
]


def uri_for(settings: Settings, named: SecretId | None) -> str:
    """Return the URI of the vault that a secret is in, or else of the one that is named.

    Raises:
        InvalidInputError, NotFoundError, AccessDeniedError: as :meth:`Settings.vault_uri`.
    """
    if named is None or not named.vault or settings.vault is not None or settings.profile:
        return settings.vault_uri()
    own = f"https://{named.vault}"
    usual = os.environ.get(VAULT_VARIABLE)
    # The usual vault's URI can say more of the same vault than the secret's does.
    if usual is not None and usual.partition("?")[0].rstrip("/").lower() == own:
        return usual
    return own


@contextmanager
def opened(
    session: Session, uri: str | None, others: Sequence[str] | None
) -> Iterator[tuple[Vault, ...]]:
    """Open the vault of the secrets, where there is one, and those of KEKs, with one audit log.

    Raises:
        What :meth:`Session.open` raises.
    """
    named = [*([] if uri is None else [uri]), *(others or ())]
    # What is no URI is refused before any vault is asked for anything.
    for each in named:
        VaultUri.parse(each)
    log = session.audit_log() if named else None
    with ExitStack() as stack:
        yield tuple(stack.enter_context(session.open(log, uri=each)) for each in named)


def require_own(vault: Vault, named: SecretId) -> None:
    """Raise where a secret is named that another vault keeps.

    Raises:
        NotFoundError: it is.
    """
    if not vault.is_home_of(named):
        raise NotFoundError(
            f"{named} is not in the vault {vault.uri}", remedy="name its own vault, or none"
        )


def kek_override(kek: str | None, algorithm: str | None) -> KekReference | None:
    """Read what is said of a KEK on the command line.

    Raises:
        InvalidInputError: it is no key version's id, or the algorithm is none of the three, or
            stands there alone.
    """
    if kek is None:
        if algorithm is not None:
            raise InvalidInputError("--algorithm goes with --kek", remedy="the tags name both")
        return None
    return KekReference.parse(kek, algorithm or "RSA-OAEP")


def read_backup(source: str) -> BackupConfig:
    """Read what Azure Backup kept; the caller wipes its value.

    Raises:
        InvalidInputError: the file is no such backup.
        NotFoundError, AccessDeniedError, UnavailableError: it cannot be read.
    """
    with files.read(source) as content:
        return BackupConfig.parse(content)


def kek_of_backup(
    config: BackupConfig, kek: str | None, algorithm: str | None
) -> KekReference | None:
    """Return what opens a backup's value: what the command line says, or else the backup itself.

    Raises:
        InvalidInputError: what says so names no key version, or the algorithm is none of the three.
    """
    return config.kek(algorithm) if kek is None else kek_override(kek, algorithm)
