"""Secrets: what a vault keeps besides keys, as a user holds it; ``vault.secrets``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keyhier.driver import SupportsSecrets
from keyhier.errors import InvalidInputError
from keyhier.identifiers import check_key_name
from keyhier.opened import OpenedVault
from keyhier.secret import SecretBytes
from keyhier.stored_secret import SetSecret, StoredSecret

__all__ = ["Secrets"]


class Secrets:
    """The secrets of an open vault; made by :attr:`Vault.secrets` only.

    A secret is a text of at most some kilobytes with a content type and tags. The vault hands it
    out to whoever may read it, so a volume key belongs here only where a format demands it, such
    as Azure Disk Encryption's. Every method raises ``UnsupportedError`` where the vault holds no
    secrets and ``InvalidStateError`` once it is closed.
    """

    def __init__(self, opened: OpenedVault[Any]) -> None:
        self._opened = opened

    @property
    def _driver(self) -> SupportsSecrets:
        return self._opened.capable(SupportsSecrets, "hold secrets")

    def get(self, name: str, version: str | None = None) -> StoredSecret:
        """Return a version with its value, by default the latest; the caller wipes the value.

        Raises:
            InvalidInputError: no secret can have that name.
            NotFoundError: there is no such secret or version.
            InvalidStateError: the version is disabled, or the name soft-deleted.
        """
        check_key_name(name)
        with self._opened.operation("get_secret", f"{name}/{version}" if version else name):
            return self._driver.get_secret(name, version)

    def set(
        self,
        name: str,
        value: SecretBytes | str,
        *,
        content_type: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> StoredSecret:
        """Keep a text as a new version of a secret, and describe it.

        Args:
            name: 1 to 127 letters, digits and hyphens of ASCII.
            value: the text; as :class:`SecretBytes` in UTF-8, which the caller wipes.
            content_type: what it is.
            tags: names and values to keep with it.

        Raises:
            InvalidInputError: the name, the text, the content type or a tag is malformed.
            InvalidStateError: the name is soft-deleted.
            CapacityError: something is longer, or the tags are more, than the vault takes.
        """
        check_key_name(name)
        kept = _texts(tags or {})
        with _as_text(value) as text, self._opened.operation("set_secret", name):
            return self._driver.set_secret(SetSecret(name, text, content_type, kept))

    def list(self) -> Iterator[StoredSecret]:
        """Yield the latest version of every secret, without values."""
        yield from self._driver.list_secrets()

    def versions(self, name: str) -> tuple[StoredSecret, ...]:
        """Return every version of a secret, without values, oldest first.

        Raises:
            InvalidInputError, NotFoundError, InvalidStateError: as :meth:`get`.
        """
        driver = self._driver
        return tuple(driver.list_secret_versions(check_key_name(name)))

    def delete(self, name: str, *, confirm: str) -> None:
        """Delete a secret with all its versions; it can be recovered until it is purged.

        Args:
            name: the secret.
            confirm: its name again.

        Raises:
            InvalidInputError: ``confirm`` is not the name.
            NotFoundError: there is no such secret.
        """
        self._confirm(name, confirm, "delete")
        with self._opened.operation("delete_secret", name):
            self._driver.delete_secret(name)

    def deleted(self) -> tuple[str, ...]:
        """Return the names of the soft-deleted secrets."""
        return tuple(self._driver.list_deleted_secrets())

    def recover(self, name: str) -> StoredSecret:
        """Bring a soft-deleted secret back and describe its latest version.

        Raises:
            NotFoundError: no soft-deleted secret has that name.
        """
        check_key_name(name)
        with self._opened.operation("recover_secret", name):
            return self._driver.recover_secret(name)

    def purge(self, name: str, *, confirm: str) -> None:
        """Destroy a soft-deleted secret for ever; ``confirm`` is its name again.

        Raises:
            InvalidInputError, NotFoundError: as :meth:`delete`.
        """
        self._confirm(name, confirm, "destroy")
        with self._opened.operation("purge_secret", name):
            self._driver.purge_secret(name)

    @staticmethod
    def _confirm(name: str, confirm: str, what: str) -> None:
        check_key_name(name)
        if confirm != name:
            raise InvalidInputError(f"to {what} the secret {name!r}, give its name again")


def _as_text(value: SecretBytes | str) -> SecretBytes:
    """Return a copy that is UTF-8."""
    try:
        if isinstance(value, str):
            return SecretBytes(value.encode())
        if isinstance(value, SecretBytes):
            str(value.view(), "utf-8")
            return SecretBytes(value.view())
    except UnicodeError:
        pass
    raise InvalidInputError("a secret's value is text, given as str or as UTF-8 in SecretBytes")


def _texts(tags: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in tags.items():
        if not isinstance(name, str) or not isinstance(value, str) or not name:
            raise InvalidInputError("a secret's tags are names and values, both text")
    return tags
