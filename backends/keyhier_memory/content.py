"""All that one vault holds, and the changes that can be made to it.

A :class:`Content` never changes: each method that changes something returns a new one, or raises
and so leaves everything as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self

import attrs

from keyhier.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidStateError,
    NotFoundError,
)
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes
from keyhier.stored_secret import SetSecret
from keyhier_memory.keys import Material, StoredKey, StoredVersion
from keyhier_memory.shelf import Shelf
from keyhier_memory.stored_secrets import KeptSecret, SecretVersion
from keyhier_memory.versions import VersionClock

__all__ = ["Content"]

BACKUP_KEY_BYTES: Final = 32

_CLOCK: Final = VersionClock()


@attrs.frozen
class Content:
    """The keys and secrets of a vault.

    Attributes:
        backup_key: what backups of these keys are sealed with.
        keys: every key by its name, soft-deleted ones too.
        secrets: every secret by its name in lower case, soft-deleted ones too.
    """

    backup_key: SecretBytes = attrs.field(
        repr=False, eq=False, factory=lambda: SecretBytes.random(BACKUP_KEY_BYTES)
    )
    keys: Mapping[str, StoredKey] = MappingProxyType({})
    secrets: Mapping[str, KeptSecret] = MappingProxyType({})

    @property
    def _keys(self) -> Shelf[StoredKey]:
        return Shelf("key", "recover_key", "purge_key", self.keys)

    def key(self, name: str) -> StoredKey:
        """Return the key called ``name``.

        Raises:
            NotFoundError: there is none.
            InvalidStateError: it is soft-deleted.
        """
        return self._keys.find(name)

    def version(self, name: str, version: str) -> StoredVersion:
        """Return one version of a key.

        Raises:
            NotFoundError: there is no such key or version.
            InvalidStateError: the key is soft-deleted.
        """
        found = self.key(name).versions.get(version)
        if found is None:
            raise NotFoundError(f"key {name} has no version {version:.64}")
        return found

    def usable(self, key: KeyId) -> StoredVersion:
        """Return the version that ``key`` names, as it is now, for a wrap or an unwrap.

        Raises:
            NotFoundError: there is no such key or version.
            InvalidStateError: the key is soft-deleted or the version disabled.
        """
        found = self.version(key.name, key.version)
        if not found.enabled:
            raise InvalidStateError(
                f"version {key.version} of key {key.name} is disabled",
                remedy="enable the version first",
            )
        return found

    def check_free(self, name: str) -> None:
        """Raise unless a new key may have this name.

        Raises:
            AlreadyExistsError: the name is taken, also by a soft-deleted key.
        """
        taken = self.keys.get(name)
        if taken is None:
            return
        if taken.deleted:
            raise AlreadyExistsError(
                f"the name {name} belongs to a soft-deleted key", remedy=self._keys.remedy
            )
        raise AlreadyExistsError(
            f"a key called {name} exists already", remedy="choose another name, or rotate the key"
        )

    def adding(self, name: str, material: Material) -> Self:
        """Return the content with a new key of one version.

        Raises:
            AlreadyExistsError: the name is taken.
        """
        self.check_free(name)
        return self._with(StoredKey(name, {}).with_version(material, _CLOCK.next()))

    def restoring(self, key: StoredKey) -> Self:
        """Return the content with a key that was backed up, versions and all.

        Raises:
            AlreadyExistsError: the name is taken.
        """
        self.check_free(key.name)
        return self._with(key)

    def rotating(self, name: str, material: Material, tag: str | None = None) -> Self:
        """Return the content with a new version of a key, or as it is if ``tag`` has its own.

        Raises:
            NotFoundError, InvalidStateError: as :meth:`key`.
            ConflictError: the key was replaced by one of another kind since ``material`` was made.
        """
        key = self.key(name)
        latest = key.latest
        if tag is not None and key.made_for(tag) is not None:
            return self
        if (latest.material.spec, latest.material.algorithms) != (
            material.spec,
            material.algorithms,
        ):
            raise ConflictError(
                f"key {name} was replaced while its new version was made", remedy="rotate it again"
            )
        if tag is None:
            version = _CLOCK.next(after=latest.version)
        else:
            version = _CLOCK.next_for(tag, after=latest.version)
        return self._with(key.with_version(material, version))

    def enabling(self, key: KeyId, *, enabled: bool) -> Self:
        """Return the content with one version enabled or disabled.

        Raises:
            NotFoundError, InvalidStateError: as :meth:`version`.
        """
        self.version(key.name, key.version)
        return self._with(self.key(key.name).with_enabled(key.version, enabled=enabled))

    def deleting(self, key: KeyId) -> Self:
        """Return the content with a key soft-deleted.

        Raises:
            NotFoundError: the key, or the version it is named by, is gone.
        """
        found = self.keys.get(key.name)
        if found is None or found.deleted or key.version not in found.versions:
            raise NotFoundError(f"key {key.name} is gone already, or was replaced by another")
        return self._with(attrs.evolve(found, deleted=True))

    def recovering(self, name: str) -> Self:
        """Return the content with a soft-deleted key brought back.

        Raises:
            NotFoundError: no soft-deleted key has that name.
        """
        return attrs.evolve(self, keys=self._keys.recovering(name))

    def purging(self, name: str) -> Self:
        """Return the content without a soft-deleted key.

        Raises:
            NotFoundError: no soft-deleted key has that name.
        """
        return attrs.evolve(self, keys=self._keys.purging(name))

    def _with(self, key: StoredKey) -> Self:
        return attrs.evolve(self, keys={**self.keys, key.name: key})

    # ------------------------------------------------------------------ secrets

    @property
    def _secrets(self) -> Shelf[KeptSecret]:
        return Shelf("secret", "secrets.recover", "secrets.purge", self.secrets)

    def secret(self, name: str) -> KeptSecret:
        """Return the secret called ``name``, in whatever case.

        Raises:
            NotFoundError: there is none.
            InvalidStateError: it is soft-deleted.
        """
        return self._secrets.find(name.lower())

    def secret_version(self, name: str, version: str) -> SecretVersion:
        """Return one version of a secret.

        Raises:
            NotFoundError: there is no such secret or version.
            InvalidStateError: the secret is soft-deleted.
        """
        found = self.secret(name).versions.get(version)
        if found is None:
            raise NotFoundError(f"secret {name} has no version {version:.64}")
        return found

    def setting_secret(self, request: SetSecret) -> Self:
        """Return the content with a new version of a secret, which may be new itself.

        Raises:
            InvalidStateError: the secret is soft-deleted.
        """
        known = request.name.lower() in self.secrets
        secret = self.secret(request.name) if known else KeptSecret(request.name, {})
        after = secret.latest.version if known else ""
        return self._with_secret(secret.with_version(request, _CLOCK.next(after=after)))

    def deleting_secret(self, name: str) -> Self:
        """Return the content with a secret soft-deleted.

        Raises:
            NotFoundError: there is none, or it is deleted already.
        """
        found = self.secrets.get(name.lower())
        if found is None or found.deleted:
            raise NotFoundError(f"no secret is called {name}, or it is deleted already")
        return self._with_secret(attrs.evolve(found, deleted=True))

    def recovering_secret(self, name: str) -> Self:
        """Return the content with a soft-deleted secret brought back.

        Raises:
            NotFoundError: no soft-deleted secret has that name.
        """
        return attrs.evolve(self, secrets=self._secrets.recovering(name.lower()))

    def purging_secret(self, name: str) -> Self:
        """Return the content without a soft-deleted secret.

        Raises:
            NotFoundError: no soft-deleted secret has that name.
        """
        return attrs.evolve(self, secrets=self._secrets.purging(name.lower()))

    def _with_secret(self, secret: KeptSecret) -> Self:
        return attrs.evolve(self, secrets={**self.secrets, secret.name.lower(): secret})
