"""keyhier.toml: vaults by name.

::

    default = "lab"
    audit = "/var/log/keyhier/audit.jsonl"

    [profiles.lab]
    vault = "pkcs11:token=disks?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=prompt:"
    records = "sqlite:/var/lib/keyhier/records.db"

It is read from the user's configuration folder or from a path that was given, never from the
working directory (promise 4): who fills a folder must not choose the module that is loaded. For
the same reason nobody but its reader and root may be able to change it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import platformdirs

from keyhier.cli.hierarchy_settings import HIERARCHY_KEYS, HierarchySettings
from keyhier.cli.own_file import require_own
from keyhier.errors import AccessDeniedError, InvalidInputError, NotFoundError

__all__ = ["CONFIG_VARIABLE", "Configuration"]

CONFIG_VARIABLE: Final = "KEYHIER_CONFIG"

_MAX_BYTES: Final = 1024 * 1024


@attrs.frozen
class Configuration:
    """What keyhier.toml says.

    Attributes:
        source: the file that was read, or where there would be one.
        profiles: vault URIs by the profiles' names.
        default: the profile that is used where none is named, or None.
        stores: URLs of stores of records by the profiles' names, where they have one.
        audit: the file that every operation on a key is written into, or None.
        hierarchies: what the profiles say of their hierarchies, by the profiles' names.
    """

    source: Path
    profiles: Mapping[str, str] = attrs.field(factory=dict)
    default: str | None = None
    stores: Mapping[str, str] = attrs.field(factory=dict)
    audit: str | None = None
    hierarchies: Mapping[str, HierarchySettings] = attrs.field(factory=dict)

    @classmethod
    def load(cls, given: str | None) -> Configuration:
        """Read the file that was given, or else the user's own, which may be missing.

        Raises:
            NotFoundError: the file that was given is not there.
            AccessDeniedError: it may not be read, or others may change it.
            InvalidInputError: it is no TOML, or holds what keyhier does not know.
        """
        if given is not None:
            return cls._read(Path(given))
        variable = os.environ.get(CONFIG_VARIABLE)
        if variable:
            path = Path(variable)
            # A relative one would mean another file in every working directory.
            if not path.is_absolute():
                raise InvalidInputError(f"{CONFIG_VARIABLE} is an absolute path")
            return cls._read(path)
        path = platformdirs.user_config_path("keyhier", appauthor=False) / "keyhier.toml"
        if path.is_absolute() and path.exists():
            return cls._read(path)
        return cls(path)

    @classmethod
    def _read(cls, path: Path) -> Configuration:
        try:
            with path.open("rb") as file:
                require_own(path, os.fstat(file.fileno()), "the module that is loaded")
                content = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            raise NotFoundError(f"there is no configuration {path}") from None
        except IsADirectoryError:
            raise InvalidInputError(f"{path} is a folder, and no configuration") from None
        except OSError as error:
            raise AccessDeniedError(f"{path} cannot be read: {error.strerror}") from None
        if len(content) > _MAX_BYTES:
            raise InvalidInputError(f"{path} has more than {_MAX_BYTES} bytes")
        try:
            return cls._from_table(path, tomllib.loads(content.decode()))
        except UnicodeDecodeError:
            raise InvalidInputError(f"{path} is not UTF-8") from None
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"{path} is no TOML: {error}") from None

    @classmethod
    def _from_table(cls, path: Path, table: dict[str, Any]) -> Configuration:
        _only(table, ("audit", "default", "profiles"), path, "at its top")
        profiles = {}
        stores = {}
        hierarchies = {}
        for name, profile in _table(table.get("profiles", {}), path, "profiles").items():
            place = f"profiles.{name}"
            known = ("vault", "records", *HIERARCHY_KEYS)
            _only(_table(profile, path, place), known, path, f"in {place}")
            vault = profile.get("vault")
            if not isinstance(vault, str):
                raise InvalidInputError(f"{path}: {place} names no vault", remedy='vault = "URI"')
            profiles[name] = vault
            hierarchies[name] = HierarchySettings.read(profile, f"{path}: {place}")
            records = profile.get("records")
            if records is None:
                continue
            if not isinstance(records, str):
                raise InvalidInputError(
                    f"{path}: {place}.records is text", remedy='records = "URL"'
                )
            stores[name] = records
        default = table.get("default")
        if default is not None and not (isinstance(default, str) and default in profiles):
            raise InvalidInputError(
                f"{path}: default is none of its profiles; known are {_listed(profiles)}"
            )
        audit = table.get("audit")
        # A relative one would be another file in every working directory.
        if audit is not None and not (isinstance(audit, str) and Path(audit).is_absolute()):
            raise InvalidInputError(f"{path}: audit is the absolute path of a file")
        return cls(path, profiles, default, stores, audit, hierarchies)

    def vault(self, profile: str) -> str:
        """Return the vault's URI of a profile.

        Raises:
            NotFoundError: there is no such profile, or no configuration at all; the message
                lists the profiles there are.
        """
        self._require(profile)
        return self.profiles[profile]

    def records(self, profile: str) -> str:
        """Return the URL of a profile's store of records.

        Raises:
            NotFoundError: as :meth:`vault`, or the profile names no store.
        """
        self._require(profile)
        if profile not in self.stores:
            raise NotFoundError(
                f"the profile {profile!r:.80} in {self.source} names no store of records",
                remedy='add to it: records = "sqlite:/path/to/file"',
            )
        return self.stores[profile]

    def hierarchy(self, profile: str) -> HierarchySettings:
        """Return what a profile says of its hierarchy.

        Raises:
            NotFoundError: as :meth:`vault`.
        """
        self._require(profile)
        return self.hierarchies[profile]

    def _require(self, profile: str) -> None:
        if not self.source.exists():
            raise NotFoundError(
                f"there is no profile {profile!r:.80}, as there is no configuration {self.source}",
                remedy="make it, or name another by --config",
            )
        if profile not in self.profiles:
            raise NotFoundError(
                f"there is no profile {profile!r:.80} in {self.source}; "
                f"known are {_listed(self.profiles)}"
            )


def _table(value: object, path: Path, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInputError(f"{path}: {place} is not a table")
    return value


def _only(table: Mapping[str, Any], known: tuple[str, ...], path: Path, place: str) -> None:
    for name in table:
        if name not in known:
            raise InvalidInputError(
                f"{path}: unknown key {name!r:.80} {place}; known are {', '.join(known)}"
            )


def _listed(names: Mapping[str, str]) -> str:
    return ", ".join(sorted(names)) or "none"
