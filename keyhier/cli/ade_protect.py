"""`keyhier ade protect`: a disk's key into a secret, as Azure Disk Encryption would write it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from keyhier.azure_disk import (
    BackupConfig,
    DiskKey,
    KekReference,
    Placing,
    find_kek,
    protect,
    remarks,
)
from keyhier.cli import files
from keyhier.cli.ade_vaults import (
    AlgorithmOption,
    BackupOption,
    KekVaultOption,
    kek_of_backup,
    opened,
    read_backup,
)
from keyhier.cli.session import Session, find_key, vault_command
from keyhier.cli.text import printable
from keyhier.errors import (
    AccessDeniedError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from keyhier.identifiers import KeyId
from keyhier.volume import BitLockerKey, LinuxPassphrase

if TYPE_CHECKING:
    from keyhier.key import Key
    from keyhier.stored_secret import SetSecret, StoredSecret
    from keyhier.vault import Vault

__all__ = ["protect_disk", "read_disk_key"]


_NO_FILE: Final = "name the key's file with --in, or a --backup-config, and one of them"


class DiskKeyKind(StrEnum):
    """What a key file is, as ``--type`` says it."""

    BITLOCKER = "bitlocker"
    LUKS = "luks"


@vault_command
def protect_disk(
    session: Session,
    *,
    source: Annotated[
        str | None,
        typer.Option("--in", metavar="FILE", help="The .BEK file or passphrase; - is a pipe."),
    ] = None,
    kind: Annotated[
        DiskKeyKind | None,
        typer.Option("--type", help="By default bitlocker for *.BEK, or luks."),
    ] = None,
    backup_config: BackupOption = None,
    machine: Annotated[str, typer.Option(metavar="NAME", help="The machine's host name.")] = "",
    volume: Annotated[
        str, typer.Option(metavar="VOLUME", help="C:, or os or 1_0 (controller, LUN) on Linux.")
    ] = "",
    kek: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Wrap it under this KEK, by its name or id."),
    ] = None,
    algorithm: AlgorithmOption = None,
    kek_vault: KekVaultOption = None,
    dual_pass: Annotated[
        bool, typer.Option("--dual-pass", help="Label it as the older extension does.")
    ] = False,
) -> None:
    """Write a disk's key into a vault as Azure Disk Encryption's own secret.

    From its file, or again from what Azure Backup kept. Nothing is set before it was seen to open.
    """
    if [source, backup_config].count(None) != 1:
        raise InvalidInputError(_NO_FILE)
    if backup_config is not None and (kind is not None or volume or dual_pass):
        raise InvalidInputError("--type, --volume and --dual-pass go with --in")
    with opened(session, session.settings.vault_uri(), kek_vault) as vaults:
        if backup_config is not None:
            with read_backup(backup_config) as config:
                opens = kek_of_backup(config, kek, algorithm)
                _restore(session, vaults, config, opens, machine)
            return
        key = None if kek is None else _find_kek(vaults, kek)
        if key is None and (algorithm is not None or kek_vault):
            raise InvalidInputError("--algorithm and --kek-vault go with --kek")
        with read_disk_key(source or "", kind) as disk_key:
            placing = Placing(machine, volume, dual_pass)
            request = protect(disk_key, placing, kek=key, algorithm=algorithm)
            _set(session, vaults[0], request, disk_key, key)


@contextmanager
def read_disk_key(source: str, kind: DiskKeyKind | None) -> Iterator[DiskKey]:
    """Read what unlocks a disk from its file; it is wiped at the end."""
    is_bek = source.upper().endswith(".BEK") if kind is None else kind is DiskKeyKind.BITLOCKER
    form = BitLockerKey if is_bek else LinuxPassphrase
    with files.read_secret(source) as content, form.from_bytes(content) as disk_key:
        yield disk_key


def _find_kek(vaults: Sequence[Vault], kek: str) -> Key:
    """Return a KEK by its id from whichever vault it is of, or by its name from the likeliest."""
    if ":" in kek:
        key_id = KeyId.parse(kek.removesuffix("/"))
        home = next((vault for vault in vaults if vault.is_home_of(key_id)), None)
        if home is None:
            raise NotFoundError(
                f"{key_id} is in none of the vaults that are named", remedy="add --kek-vault"
            )
        return home.key(key_id)
    # A vault that is named for the KEK's sake is where a bare name is looked up.
    return find_key(vaults[-1], kek)


def _restore(
    session: Session,
    vaults: Sequence[Vault],
    config: BackupConfig,
    kek: KekReference | None,
    machine: str,
) -> None:
    """Set a backup's secret again, once it was seen to open."""
    with config.open(kek, vaults) as disk_key:
        key = None if kek is None else find_kek(kek.id, vaults)
        request = config.as_secret(disk_key, kek, machine=machine)
        _set(session, vaults[0], request, disk_key, key)


def _set(
    session: Session, vault: Vault, request: SetSecret, disk_key: DiskKey, kek: Key | None
) -> None:
    with request.value as value:
        told = remarks(disk_key, kek, asked=request, before=_present(vault, request.name))
        made = vault.secrets.set(
            request.name, value, content_type=request.content_type, tags=request.tags
        )
    document = {
        "secret": str(made.id),
        "content_type": request.content_type,
        "tags": dict(request.tags),
        "remarks": list(told),
    }
    lines = [f"set {made.id}", *(f"note: {printable(remark)}" for remark in told)]
    session.show(document, "\n".join(lines))


def _present(vault: Vault, name: str) -> StoredSecret | None:
    """Return the latest version of a secret, or None where there is none that may be seen."""
    with suppress(NotFoundError, AccessDeniedError, InvalidStateError):
        found = vault.secrets.versions(name)
        return found[-1] if found else None
    return None
