"""What to do next, as it is done at the command: the library's remedies are for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from keyhier.errors import NotFoundError

if TYPE_CHECKING:
    from keyhier.vault import Vault

__all__ = ["at_the_command", "listed_by"]

_WORDS: Final[Mapping[str, str]] = {
    "among the policy's parents": "among the parents in keyhier.toml",
    "allow overwriting": "add --force",
    "or a callback": "or pin-source=prompt:",
    "or pass pin=callback": "or run it at a terminal",
    "use wrap_raw": "leave --algorithm out, or name one that `keyhier key show` lists",
    "leave random= out": "leave --random out",
    "`recover_key`": "`keyhier key recover`",
    "`purge_key`": "`keyhier key purge`",
    "hand it over too": "name it by --kek-vault",
    "name the KEK's version and the algorithm": "name both by --kek and --algorithm",
    "list the vault's": "list them by `keyhier ade inventory`",
    "name the volume": "add --volume",
    "enable that version": "enable it by `keyhier key enable NAME --version VERSION`",
    "list the keys there are": "`keyhier key list --all-versions` and `keyhier tree` show what "
    "there is",
    "open the vault that has it": "name the vault that has it by --also-vault",
    "list the records there are": "`keyhier records list` shows what there is",
    "restore the record from an export or a backup": "restore a backup, or delete it by `keyhier "
    "records delete` and import its line of an export",
    "go on with the job": "go on with it (`keyhier rotate --join JOB`, or `keyhier migrate --to "
    "URI --join JOB`)",
    "roll it back to the end": "`keyhier jobs rollback JOB` goes on with that",
    "list the sets there are": "`keyhier set list` shows what there is",
    "list the jobs there are": "`keyhier jobs list` shows what there is",
    "open its vault too, or give an alias if": "name its vault by --also-vault, or by --alias "
    "OLD=NEW where it is now, if",
    "say which version": "add --version; `keyhier key list --all-versions` shows what there is",
    "say that they are to be moved": "add --move-key",
    "give the vault and the key map that it was begun with": "give the --to and --map that it was "
    "begun with",
    "without moving the key": "without --move-key",
}
"""What a remedy says to a program, and what it says at the command."""

_NEW_EACH_TIME: Final = "memory: without ?file= is new and empty for every command"


def at_the_command(remedy: str) -> str:
    """Say a remedy with the command's own words."""
    for program, command in _WORDS.items():
        remedy = remedy.replace(program, command)
    return remedy


@contextmanager
def listed_by(command: str, vault: Vault) -> Iterator[None]:
    """Point from a key that is not there to the command that lists those there are."""
    try:
        yield
    except NotFoundError as error:
        listed = _NEW_EACH_TIME if vault.uri == "memory:" else f"`{command}` shows what there is"
        error.remedy = error.remedy or listed
        raise
