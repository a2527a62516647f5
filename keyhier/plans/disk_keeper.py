"""DiskKeeper: the key of a disk of one's own, and the secret that it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import attrs

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.azure_disk.plaintext import DiskKey
from keyhier.azure_disk.protection import Placing, check_room, protect
from keyhier.azure_disk.recovery import recover
from keyhier.errors import AccessDeniedError, InvalidInputError, UnwrapError
from keyhier.stored_secret import SecretId, SetSecret, StoredSecret

if TYPE_CHECKING:
    from keyhier.key import Key
    from keyhier.vault import Vault

__all__ = ["DiskKeeper"]


@attrs.frozen
class DiskKeeper:
    """A disk's key, where its secret goes and how that is labelled.

    Attributes:
        home: the vault of the secret.
        vaults: those that its KEK may be in.
        disk_key: what unlocks the disk.
        placing: which disk that is.
    """

    home: Vault
    vaults: Sequence[Vault]
    disk_key: DiskKey
    placing: Placing

    def require_room(self, spec: KeySpec, algorithm: WrapAlgorithm) -> None:
        """Raise unless a KEK of this kind can wrap the disk's key.

        Raises:
            CapacityError: it is too small.
        """
        with self.disk_key.to_secret() as content:
            check_room(content, spec, algorithm)

    def keep(self, kek: Key | None, algorithm: WrapAlgorithm) -> tuple[SecretId, bool]:
        """Set the secret once it was seen to open, and say whether it was set now.

        Where one that is there has the same labels and opens the same disk, that is taken: whoever
        does it again, after it was interrupted, leaves one secret. Who may not read secrets leaves
        another.
        """
        asked = protect(self.disk_key, self.placing, kek=kek, algorithm=algorithm)
        with asked.value as value:
            with suppress(AccessDeniedError):
                for listed in self.home.secrets.list():
                    if _has_labels(listed, asked) and self._opens(listed):
                        return listed.id, False
            made = self.home.secrets.set(
                asked.name, value, content_type=asked.content_type, tags=asked.tags
            )
        return made.id, True

    def _opens(self, listed: StoredSecret) -> bool:
        stored = self.home.secrets.get(listed.id.name, listed.id.version)
        if stored.value is None:
            return False
        with stored.value:
            try:
                with recover(stored, self.vaults) as found:
                    return found == self.disk_key
            except (InvalidInputError, UnwrapError):
                return False


def _has_labels(listed: StoredSecret, asked: SetSecret) -> bool:
    labels = (listed.content_type, dict(listed.tags))
    return listed.enabled and labels == (asked.content_type, dict(asked.tags))
