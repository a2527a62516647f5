"""What every command shares: which vault, which output, and the options that say so.

The shared options are taken before the command and after it: ``keyhier --json key list`` and
``keyhier key list --json`` are the same.
"""

from __future__ import annotations

import atexit
import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
import typer
from rich.console import Console, RenderableType

import keyhier
from keyhier.audit_log import AuditLog
from keyhier.cli.config import Configuration
from keyhier.cli.files import STANDARD
from keyhier.cli.remedies import listed_by
from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId
from keyhier.records.opening import open_records

if TYPE_CHECKING:
    from keyhier.key import Key
    from keyhier.records.sql.store import SqlRecords
    from keyhier.vault import Vault

__all__ = [
    "AUDIT_VARIABLE",
    "RECORDS_VARIABLE",
    "VAULT_VARIABLE",
    "Command",
    "ConfigOption",
    "JsonOption",
    "ProfileOption",
    "RecordsOption",
    "Session",
    "Settings",
    "VaultOption",
    "find_key",
    "hierarchy_command",
    "json_command",
    "profile_command",
    "records_command",
    "vault_command",
]

VAULT_VARIABLE: Final = "KEYHIER_VAULT"
RECORDS_VARIABLE: Final = "KEYHIER_RECORDS"
AUDIT_VARIABLE: Final = "KEYHIER_AUDIT"

# Wide enough that no table is cut where no terminal sets its width.
_UNBOUNDED: Final = 1000

Command = Callable[..., None]
"""A function of a Session and of what Typer reads for it."""

VaultOption = Annotated[
    str | None,
    typer.Option(metavar="URI", help="The vault; else KEYHIER_VAULT, else a profile."),
]
RecordsOption = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The store of records; else KEYHIER_RECORDS, else a profile."),
]
AlsoVaultOption = Annotated[
    list[str] | None,
    typer.Option(metavar="URI", help="Another vault that records need; may be repeated."),
]
AliasOption = Annotated[
    list[str] | None,
    typer.Option(metavar="OLD=NEW", help="The id of a key now, by its id of old; repeatable."),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The vault and records of this profile of keyhier.toml."),
]
ConfigOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="The keyhier.toml to read; else KEYHIER_CONFIG, else the user's own.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON document instead of text; errors, too.")
]


@attrs.frozen
class Settings:
    """What was given on the command line.

    Attributes:
        vault, profile, config, records: the options of these names, or None.
        as_json: whether output and errors are JSON.
        also_vault: URIs of more vaults.
        alias: ids of keys that moved, each as OLD=NEW.
    """

    vault: str | None = None
    profile: str | None = None
    config: str | None = None
    as_json: bool = False
    records: str | None = None
    also_vault: list[str] | None = None
    alias: list[str] | None = None

    def within(self, outer: Settings) -> Settings:
        """Return these settings with those that were given before the command.

        Raises:
            InvalidInputError: one is given in both places.
        """
        merged: dict[str, Any] = {
            "as_json": self.as_json or outer.as_json,
            "also_vault": self.also_vault,
            "alias": self.alias,
        }
        for name in ("vault", "profile", "config", "records"):
            inner, other = getattr(self, name), getattr(outer, name)
            if inner is not None and other is not None:
                raise InvalidInputError(f"--{name} is given before the command and after it")
            merged[name] = other if inner is None else inner
        return Settings(**merged)

    def vault_uri(self) -> str:
        """Return the URI of the vault to open.

        Raises:
            InvalidInputError: none is named, or two are.
            NotFoundError: there is no such profile.
            AccessDeniedError: as :meth:`Configuration.load`.
        """
        if self.vault is not None and self.profile is not None:
            raise InvalidInputError("--vault and --profile both name a vault", remedy="give one")
        if self.vault is not None:
            return self.vault
        if self.profile is not None:
            return Configuration.load(self.config).vault(self.profile)
        if uri := os.environ.get(VAULT_VARIABLE):
            return uri
        configuration = Configuration.load(self.config)
        if configuration.default is None:
            raise InvalidInputError(
                "no vault is named",
                remedy=f"give --vault URI, set {VAULT_VARIABLE}, "
                f"or name a default profile in {configuration.source}",
            )
        return configuration.vault(configuration.default)

    def records_url(self) -> str:
        """Return the URL of the store of records to open.

        Raises:
            InvalidInputError: none is named.
            NotFoundError: there is no such profile, or it names no store.
            AccessDeniedError: as :meth:`Configuration.load`.
        """
        if self.records is not None:
            return self.records
        if self.profile is not None:
            return Configuration.load(self.config).records(self.profile)
        if url := os.environ.get(RECORDS_VARIABLE):
            return url
        configuration = Configuration.load(self.config)
        if configuration.default is None:
            raise InvalidInputError(
                "no store of records is named",
                remedy=f"give --records URL, set {RECORDS_VARIABLE}, "
                f"or name a default profile in {configuration.source}",
            )
        return configuration.records(configuration.default)

    def aliases(self) -> dict[str, str]:
        """Return the ids of keys now by their ids of old.

        Raises:
            InvalidInputError: one is no pair of ids.
        """
        return dict(map(_alias, self.alias or ()))

    def records_given(self) -> bool:
        """Whether a store of records is named, for a command that can do without.

        Raises:
            NotFoundError, AccessDeniedError, InvalidInputError: as :meth:`Configuration.load`.
        """
        if self.records is not None:
            return True
        if self.profile is None and os.environ.get(RECORDS_VARIABLE):
            return True
        configuration = Configuration.load(self.config)
        return (self.profile or configuration.default) in configuration.stores

    def audit_path(self) -> str | None:
        """Return the file that operations on keys are written into, or None.

        Raises:
            NotFoundError, AccessDeniedError, InvalidInputError: as :meth:`Configuration.load`.
        """
        return os.environ.get(AUDIT_VARIABLE) or Configuration.load(self.config).audit


@attrs.frozen
class Session:
    """One run of a command.

    Attributes:
        settings: what was given.
        at_end: takes what is to be called when the command has ended.
    """

    settings: Settings
    at_end: Callable[[Callable[[], None]], object] = attrs.field(default=atexit.register)

    def audit_log(self) -> AuditLog | None:
        """Open the file that operations on keys are written into, where the settings name one.

        Then nothing is done that cannot be written there.
        """
        path = self.settings.audit_path()
        if path is None:
            return None
        log = AuditLog(path, required=True)
        self.at_end(log.close)
        return log

    def open(self, audit: AuditLog | None = None, *, uri: str | None = None) -> Vault:
        """Open the vault that the settings name; raises what :func:`keyhier.open` raises.

        Args:
            audit: the log that is open already, where the command has more to write there.
            uri: another vault, for a command that works on two.
        """
        log = self.audit_log() if audit is None else audit
        return keyhier.open(
            self.settings.vault_uri() if uri is None else uri,
            aliases=self.settings.aliases(),
            audit=log,
        )

    def open_records(self, *, read_only: bool = False) -> SqlRecords:
        """Open the store of records that the settings name, as :func:`open_records` does."""
        return open_records(self.settings.records_url(), read_only=read_only)

    def show(self, document: Mapping[str, object], human: RenderableType) -> None:
        """Write the result to standard output: the document as JSON, or else its human form."""
        if self.settings.as_json:
            sys.stdout.write(f"{json.dumps(document, indent=2)}\n")
        elif isinstance(human, str):
            sys.stdout.write(f"{human}\n")
        else:
            # What is wider than a terminal is left to the terminal, which cuts nothing.
            console().print(human, crop=False)
        # A command that could not say what it did has failed, and learns it here.
        sys.stdout.flush()

    def leave_stdout_to_secret(self, out: str | None) -> None:
        """Refuse a secret on standard output where that is taken, or is a terminal.

        Raises:
            InvalidInputError: it is.
        """
        if out != STANDARD:
            return
        if self.settings.as_json:
            raise InvalidInputError("--json and --out - both want standard output")
        if os.isatty(1):
            raise InvalidInputError(
                "a secret is not shown on a terminal",
                remedy="name a file, or send standard output into a pipe or a file",
            )


def _alias(text: str) -> tuple[str, str]:
    # Ids of PKCS#11 have an = in them, too, but only behind one is there an id on either side.
    for place, character in enumerate(text):
        if character == "=":
            with suppress(InvalidInputError):
                return str(KeyId.parse(text[:place])), str(KeyId.parse(text[place + 1 :]))
    raise InvalidInputError("an alias is given as OLD=NEW, both of them ids of key versions")


def find_key(vault: Vault, name: str, version: str | None = None) -> Key:
    """Return a key; raises what :meth:`keyhier.Vault.key` raises, and says how to find another."""
    command = "keyhier key list" if version is None else "keyhier key list --all-versions"
    with listed_by(command, vault):
        return vault.key(name, version)


def console() -> Console:
    """Return a console for standard output that takes all text for data, not for markup."""
    width = None if sys.stdout.isatty() else _UNBOUNDED
    return Console(file=sys.stdout, markup=False, emoji=False, highlight=False, width=width)


def _with(function: Command, shared: Command) -> Command:
    """Give a command the options that are the parameters of ``shared``."""
    # Typer reads a command's options from its signature, so the shared ones are added there.
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    options = list(inspect.signature(shared, eval_str=True).parameters.values())
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

    @functools.wraps(function)
    def command(*, ctx: typer.Context, **given: Any) -> None:
        settings = Settings(**{option.name: given.pop(option.name) for option in options})
        function(Session(settings.within(ctx.obj), ctx.call_on_close), **given)

    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *options)]
    command.__signature__ = inspect.Signature([context, *keyword])  # type: ignore[attr-defined]  # Functions have it.
    return command


def _json_options(*, as_json: JsonOption = False) -> None: ...


def _profile_options(
    *,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None: ...


def _vault_options(
    *,
    vault: VaultOption = None,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None: ...


def _records_options(
    *,
    records: RecordsOption = None,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None: ...


def _hierarchy_options(
    *,
    vault: VaultOption = None,
    also_vault: AlsoVaultOption = None,
    alias: AliasOption = None,
    records: RecordsOption = None,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None: ...


def json_command(function: Command) -> Command:
    """Make a command that needs no vault: it gets a Session and has ``--json``."""
    return _with(function, _json_options)


def profile_command(function: Command) -> Command:
    """Make a command that opens no vault and has the options of a profile, and ``--json``."""
    return _with(function, _profile_options)


def vault_command(function: Command) -> Command:
    """Make a command that gets a Session and has the options that name a vault, and ``--json``."""
    return _with(function, _vault_options)


def records_command(function: Command) -> Command:
    """Make a command that has the options that name a store of records, and ``--json``."""
    return _with(function, _records_options)


def hierarchy_command(function: Command) -> Command:
    """Make a command that has the options that name a vault and records, and ``--json``."""
    return _with(function, _hierarchy_options)
