"""`keyhier ade`: the secrets of Azure Disk Encryption. Here: getting a disk's key back."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from keyhier.azure_disk import (
    RETIREMENT,
    DiskKey,
    DiskSecret,
    KekReference,
    drive_letter,
    find,
    recover,
)
from keyhier.cli import ade_inventory, ade_plan, ade_protect, files
from keyhier.cli.ade_vaults import (
    AlgorithmOption,
    BackupOption,
    KekVaultOption,
    kek_of_backup,
    kek_override,
    opened,
    read_backup,
    require_own,
    uri_for,
)
from keyhier.cli.envelope import ForceOption
from keyhier.cli.session import Session, vault_command
from keyhier.cli.text import printable
from keyhier.errors import InvalidInputError
from keyhier.stored_secret import SecretId, StoredSecret
from keyhier.volume import BitLockerKey

if TYPE_CHECKING:
    from keyhier.vault import Vault

__all__ = ["app"]

app = typer.Typer(help="Azure Disk Encryption's secrets.", no_args_is_help=True)
app.command("protect")(ade_protect.protect_disk)
app.command("inventory")(ade_inventory.inventory)
app.command("plan")(ade_plan.plan_machine)


@attrs.frozen
class _Recovered:
    """What came out, and of what.

    Attributes:
        disk_key: the key.
        source: the secret's id, with its version where it came from a vault.
        kek: what opened it, or None.
        labels: what the secret says of itself, or None where it came from a backup or its labels
            were not relied on.
        others: older secrets of the same machine and volume, newest first.
    """

    disk_key: DiskKey
    source: SecretId
    kek: KekReference | None
    labels: DiskSecret | None = None
    others: tuple[StoredSecret, ...] = ()


@app.command("recover")
@vault_command
def recover_disk(
    session: Session,
    *,
    secret: Annotated[
        str | None,
        typer.Argument(metavar="[SECRET]", help="The secret's URL, or its NAME or NAME/VERSION."),
    ] = None,
    machine: Annotated[
        str | None, typer.Option(metavar="NAME", help="Instead: the newest of this machine.")
    ] = None,
    volume: Annotated[
        str | None,
        typer.Option(metavar="VOLUME", help="With --machine: C:, or os or 1_0 on Linux."),
    ] = None,
    backup_config: BackupOption = None,
    out: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="A file; a folder, which gets <GUID>.BEK; or -, standard output.",
        ),
    ],
    kek: Annotated[
        str | None,
        typer.Option(metavar="ID", help="What opens it, instead of what its tags name."),
    ] = None,
    algorithm: AlgorithmOption = None,
    kek_vault: KekVaultOption = None,
    force: ForceOption = False,
) -> None:
    """Get a disk's key out of its secret: a .BEK file, or a passphrase for cryptsetup.

    The KEK's version and the algorithm are those that the secret's tags name. A KEK in another
    vault is used only where --kek-vault names that vault.
    """
    session.leave_stdout_to_secret(out)
    if [secret, machine, backup_config].count(None) != 2:
        raise InvalidInputError("name a SECRET, a --machine or a --backup-config, and one of them")
    if volume is not None and machine is None:
        raise InvalidInputError("--volume goes with --machine")
    if backup_config is not None:
        recovering = _from_backup(session, backup_config, kek, algorithm, kek_vault)
    else:
        wanted = _Wanted(secret, machine or "", volume)
        recovering = _from_vault(session, wanted, kek_override(kek, algorithm), kek_vault)
    with recovering as recovered, recovered.disk_key:
        _hand_over(session, recovered, out, force=force)


@attrs.frozen
class _Wanted:
    """Which secret: by its id, by its name in the vault, or the newest of a machine.

    Attributes:
        text: the id, or NAME or NAME/VERSION, or None.
        machine: the machine's host name where there is no text.
        volume: which of its volumes, or None.
    """

    text: str | None
    machine: str
    volume: str | None

    @property
    def id(self) -> SecretId | None:
        """The id, where it was given."""
        if self.text is None or ":" not in self.text:
            return None
        return SecretId.parse(self.text.removesuffix("/"))

    def get(self, vault: Vault) -> tuple[StoredSecret, tuple[StoredSecret, ...]]:
        """Return the secret with its value, and the older ones of its machine."""
        if self.text is None:
            found = find(vault.secrets.list(), self.machine, self.volume)
            newest = found.newest.id
            return vault.secrets.get(newest.name, newest.version), found.others
        if self.id is not None:
            require_own(vault, self.id)
            return vault.secrets.get(self.id.name, self.id.version or None), ()
        name, _, version = self.text.partition("/")
        return vault.secrets.get(name, version or None), ()


@contextmanager
def _from_vault(
    session: Session, wanted: _Wanted, kek: KekReference | None, kek_vault: list[str] | None
) -> Iterator[_Recovered]:
    with opened(session, uri_for(session.settings, wanted.id), kek_vault) as vaults:
        stored, others = wanted.get(vaults[0])
        try:
            described = DiskSecret.read(stored) if kek is None else None
            disk_key = recover(stored, vaults, kek=kek)
        finally:
            if stored.value is not None:
                stored.value.wipe()
        used = kek if described is None else described.kek
        yield _Recovered(disk_key, stored.id, used, described, others)


@contextmanager
def _from_backup(
    session: Session,
    source: str,
    kek: str | None,
    algorithm: str | None,
    kek_vault: list[str] | None,
) -> Iterator[_Recovered]:
    settings = session.settings
    with read_backup(source) as config:
        used = kek_of_backup(config, kek, algorithm)
        # Without a KEK no vault is needed, and with --kek-vault perhaps no other one.
        needed = used is not None and not kek_vault
        named = needed or settings.vault is not None or settings.profile is not None
        with opened(session, settings.vault_uri() if named else None, kek_vault) as vaults:
            yield _Recovered(config.open(used, vaults), config.secret_id, used)


def _hand_over(session: Session, recovered: _Recovered, out: str, *, force: bool) -> None:
    disk_key = recovered.disk_key
    bek = disk_key if isinstance(disk_key, BitLockerKey) else None
    if out != files.STANDARD and Path(out).is_dir():
        if bek is None:
            raise InvalidInputError(f"{out} is a folder; only a .BEK file has a name of its own")
        out = str(Path(out) / bek.filename)
    with disk_key.to_secret() as content:
        files.write_secret(out, content, force=force)
    if out == files.STANDARD:
        return
    labels = recovered.labels
    commands = _commands(bek, out, labels.volume if labels else None)
    document = {
        "written": out,
        "type": "luks" if bek is None else "bitlocker",
        "secret": str(recovered.source),
        "machine": labels.machine if labels else None,
        "volume": labels.volume if labels else None,
        "kek": None if recovered.kek is None else str(recovered.kek.id),
        "algorithm": None if recovered.kek is None else recovered.kek.algorithm,
        "commands": commands,
        "others": [str(other.id) for other in recovered.others],
        "retirement": RETIREMENT.isoformat(),
    }
    lines = [f"recovered into {printable(out)}, from {recovered.source}"]
    lines += [f"to open the disk: {printable(command)}" for command in commands]
    lines += [f"older, and not used: {other.id}" for other in recovered.others]
    session.show(document, "\n".join(lines))


def _commands(bek: BitLockerKey | None, path: str, volume: str | None) -> list[str]:
    """Return what opens the disk with the file that was written."""
    quoted = shlex.quote(path)
    if bek is None:
        return [f"cryptsetup open --key-file {quoted} /dev/DISK data"]
    # A tag that says anything but a letter is no part of a command that somebody will copy.
    letter = drive_letter(volume or "") or "X"
    return [
        f'manage-bde -unlock {letter}: -RecoveryKey "{path}"',
        f"cryptsetup open --type bitlk --key-file {quoted} /dev/DISK data",
    ]
