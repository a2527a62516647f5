"""The driver: an open memory vault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from keyhier.algorithms import KeySpec, WrapAlgorithm, algorithms_for
from keyhier.doctor import Finding
from keyhier.driver import CreateKey, ImportKey, KeyVersion
from keyhier.errors import InvalidStateError, UnsupportedError, UnwrapError
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes
from keyhier_memory import operations
from keyhier_memory.backup import open_backup, seal_backup
from keyhier_memory.doctor import examine
from keyhier_memory.keys import SCHEME, Material
from keyhier_memory.secrets_driver import SecretsDriver
from keyhier_memory.store import Store

__all__ = ["MemoryDriver"]


class MemoryDriver(SecretsDriver):
    """One open memory vault; it implements :class:`keyhier.driver.Driver` and every ``Supports…``.

    Whether a version exists and is enabled is looked up by its id at each use, so that a
    description made earlier never opens what was disabled or deleted since. A key that was not
    made ``extractable`` does not leave the vault, except in a backup that only such a vault opens.
    """

    scheme: Final = SCHEME
    vault: Final = ""
    key_specs: Final = frozenset(KeySpec)
    algorithms: Final = frozenset(WrapAlgorithm)

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._session_keys: dict[int, Material] = {}

    def get_key(self, name: str, version: str | None = None) -> KeyVersion:
        """See :meth:`keyhier.driver.Driver.get_key`."""
        content = self._store.read()
        found = content.key(name).latest if version is None else content.version(name, version)
        return found.describe(name)

    def list_keys(self) -> Iterator[KeyVersion]:
        """See :meth:`keyhier.driver.Driver.list_keys`."""
        keys = self._store.read().keys
        return iter(
            [keys[name].latest.describe(name) for name in sorted(keys) if not keys[name].deleted]
        )

    def list_versions(self, name: str) -> list[KeyVersion]:
        """See :meth:`keyhier.driver.Driver.list_versions`."""
        key = self._store.read().key(name)
        return [version.describe(name) for version in key.versions.values()]

    def create_key(self, request: CreateKey) -> KeyVersion:
        """See :meth:`keyhier.driver.Driver.create_key`."""
        # An RSA key takes long to make: a taken name is refused before, and no lock is held.
        self._store.read().check_free(request.name)
        made = Material.generate(request.spec, request.algorithm, extractable=request.extractable)
        return self._add(request.name, made)

    def import_key(self, request: ImportKey) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsImport.import_key`."""
        self._store.read().check_free(request.name)
        secret = SecretBytes(request.material.view())
        return self._add(request.name, Material.load(request.spec, request.algorithm, secret))

    def _add(self, name: str, material: Material) -> KeyVersion:
        content = self._store.change(lambda content: content.adding(name, material))
        return content.key(name).latest.describe(name)

    def export_key(self, key: KeyVersion) -> SecretBytes:
        """See :meth:`keyhier.driver.SupportsExport.export_key`."""
        material = self._material(key)
        if not material.extractable:
            raise UnsupportedError(
                f"{key.id} was not made extractable, and does not leave the vault",
                remedy="move the records and not the key",
            )
        return SecretBytes(material.secret.view())

    def rotate_key(self, name: str) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsRotation.rotate_key`."""
        material = self._store.read().key(name).latest.material.successor()
        content = self._store.change(lambda content: content.rotating(name, material))
        return content.key(name).latest.describe(name)

    def rotate_key_for(self, name: str, tag: str) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsTaggedRotation.rotate_key_for`."""
        key = self._store.read().key(name)
        made = key.made_for(tag)
        if made is None:
            material = key.latest.material.successor()
            content = self._store.change(lambda content: content.rotating(name, material, tag))
            # Another process may have been faster; then this is its version.
            made = content.key(name).made_for(tag) or content.key(name).latest
        return made.describe(name)

    def wrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, plaintext: SecretBytes, aad: bytes = b""
    ) -> bytes:
        """See :meth:`keyhier.driver.Driver.wrap`."""
        return operations.wrap(self._material(key), algorithm, plaintext, aad)

    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        """See :meth:`keyhier.driver.Driver.unwrap`."""
        return operations.unwrap(self._material(key), algorithm, wrapped, aad)

    def _material(self, key: KeyVersion) -> Material:
        content = self._store.read()
        if not isinstance(key.handle, Material):
            return content.usable(key.id).material
        if key.handle.secret.wiped:
            raise InvalidStateError("the key that was unwrapped into the vault has been closed")
        return key.handle

    def unwrap_into(
        self,
        key: KeyVersion,
        algorithm: WrapAlgorithm,
        wrapped: bytes,
        purpose: WrapAlgorithm,
        key_id: KeyId,
    ) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsUnwrapInto.unwrap_into`."""
        secret = operations.unwrap_key(self._material(key), algorithm, wrapped)
        spec = next(spec for spec in KeySpec if purpose in algorithms_for(spec))
        if len(secret) != spec.size:
            secret.wipe()
            raise UnwrapError
        material = Material.load(spec, purpose, secret)
        self._session_keys[id(material)] = material
        return KeyVersion(key_id, spec, material.algorithms, handle=material)

    def discard(self, key: KeyVersion) -> None:
        """See :meth:`keyhier.driver.SupportsUnwrapInto.discard`."""
        material = cast("Material", key.handle)
        material.secret.wipe()
        self._session_keys.pop(id(material), None)

    def set_enabled(self, key: KeyVersion, *, enabled: bool) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsLifecycle.set_enabled`."""
        content = self._store.change(lambda content: content.enabling(key.id, enabled=enabled))
        return content.version(key.id.name, key.id.version).describe(key.id.name)

    def delete_key(self, key: KeyVersion) -> None:
        """See :meth:`keyhier.driver.SupportsLifecycle.delete_key`."""
        self._store.change(lambda content: content.deleting(key.id))

    def list_deleted(self) -> Iterator[str]:
        """See :meth:`keyhier.driver.SupportsSoftDelete.list_deleted`."""
        keys = self._store.read().keys
        return iter(sorted(name for name, key in keys.items() if key.deleted))

    def recover_key(self, name: str) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsSoftDelete.recover_key`."""
        content = self._store.change(lambda content: content.recovering(name))
        return content.key(name).latest.describe(name)

    def purge_key(self, name: str) -> None:
        """See :meth:`keyhier.driver.SupportsSoftDelete.purge_key`."""
        self._store.change(lambda content: content.purging(name))

    def backup_key(self, name: str) -> bytes:
        """See :meth:`keyhier.driver.SupportsBackup.backup_key`."""
        content = self._store.read()
        return seal_backup(content.key(name), content.backup_key)

    def restore_key(self, backup: bytes) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsBackup.restore_key`."""
        key = open_backup(backup, self._store.read().backup_key)
        content = self._store.change(lambda content: content.restoring(key))
        return content.key(key.name).latest.describe(key.name)

    def random_bytes(self, length: int) -> SecretBytes:
        """See :meth:`keyhier.driver.SupportsRandom.random_bytes`."""
        # A closed vault has no generator either.
        self._store.read()
        return SecretBytes.random(length)

    def within(self, seconds: float) -> MemoryDriver:  # noqa: ARG002  # Nothing waits here.
        """See :meth:`keyhier.driver.SupportsTimeout.within`."""
        return self

    def examine(self) -> Iterator[Finding]:
        """See :meth:`keyhier.driver.SupportsDoctor.examine`."""
        # A closed vault cannot be examined, and says so at once.
        self._store.read()
        return examine(self._store)

    def close(self) -> None:
        """See :meth:`keyhier.driver.Driver.close`."""
        for material in list(self._session_keys.values()):
            material.secret.wipe()
        self._session_keys.clear()
        self._store.close()
