"""The part of the driver that keeps secrets."""

from __future__ import annotations

from collections.abc import Iterator

from keyhier.stored_secret import SetSecret, StoredSecret
from keyhier_memory.store import Store
from keyhier_memory.stored_secrets import check_limits

__all__ = ["SecretsDriver"]


class SecretsDriver:
    """It implements :class:`keyhier.driver.SupportsSecrets`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get_secret(self, name: str, version: str | None = None) -> StoredSecret:
        """See :meth:`keyhier.driver.SupportsSecrets.get_secret`."""
        content = self._store.read()
        secret = content.secret(name)
        found = secret.latest if version is None else content.secret_version(name, version)
        return found.describe(secret.name, revealed=True)

    def set_secret(self, request: SetSecret) -> StoredSecret:
        """See :meth:`keyhier.driver.SupportsSecrets.set_secret`."""
        check_limits(request)
        content = self._store.change(lambda content: content.setting_secret(request))
        secret = content.secret(request.name)
        return secret.latest.describe(secret.name)

    def list_secrets(self) -> Iterator[StoredSecret]:
        """See :meth:`keyhier.driver.SupportsSecrets.list_secrets`."""
        secrets = [secret for _, secret in sorted(self._store.read().secrets.items())]
        return iter(
            [secret.latest.describe(secret.name) for secret in secrets if not secret.deleted]
        )

    def list_secret_versions(self, name: str) -> list[StoredSecret]:
        """See :meth:`keyhier.driver.SupportsSecrets.list_secret_versions`."""
        secret = self._store.read().secret(name)
        return [version.describe(secret.name) for version in secret.versions.values()]

    def delete_secret(self, name: str) -> None:
        """See :meth:`keyhier.driver.SupportsSecrets.delete_secret`."""
        self._store.change(lambda content: content.deleting_secret(name))

    def list_deleted_secrets(self) -> Iterator[str]:
        """See :meth:`keyhier.driver.SupportsSecrets.list_deleted_secrets`."""
        secrets = self._store.read().secrets.values()
        return iter(sorted(secret.name for secret in secrets if secret.deleted))

    def recover_secret(self, name: str) -> StoredSecret:
        """See :meth:`keyhier.driver.SupportsSecrets.recover_secret`."""
        content = self._store.change(lambda content: content.recovering_secret(name))
        secret = content.secret(name)
        return secret.latest.describe(secret.name)

    def purge_secret(self, name: str) -> None:
        """See :meth:`keyhier.driver.SupportsSecrets.purge_secret`."""
        self._store.change(lambda content: content.purging_secret(name))
