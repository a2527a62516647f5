"""VaultUnderTest: the open vault, the keys that the tests share, and the sweeping up."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Self

from keyhier.algorithms import ENVELOPE_ALGORITHMS, KeySpec, KeyType, WrapAlgorithm, algorithms_for
from keyhier.audit import AuditHook
from keyhier.driver import Driver, OpenOptions
from keyhier.errors import InvalidStateError, NotFoundError
from keyhier.identifiers import KeyId
from keyhier.registry import backend_for
from keyhier.uri import VaultUri
from keyhier.vault import Key, Vault

__all__ = ["VaultUnderTest", "latest_keys"]


def latest_keys(vault: Vault) -> list[Key]:
    """Return what the vault lists, all at once."""
    return list(vault.keys())


class VaultUnderTest:
    """The vault, open, with keys that are made when a test first asks for them.

    Attributes:
        uri: the URI it was opened by.
        driver: the driver beneath, for what cannot be seen from above.
        vault: what a user holds.
        capabilities: what the vault says it can do.
    """

    def __init__(self, uri: str, driver: Driver) -> None:
        self.uri = uri
        self.driver = driver
        self.vault = Vault(driver, uri=uri)
        self.capabilities = self.vault.capabilities
        self._prefix = f"contract-{secrets.token_hex(5)}"
        self._numbers = count(1)
        self._names: list[str] = []
        self._secret_names: list[str] = []
        self._shared: dict[tuple[KeySpec, WrapAlgorithm | None, bool], Key] = {}

    @classmethod
    def open(cls, uri: str) -> Self:
        """Open the vault as :func:`keyhier.open` does, keeping hold of the driver."""
        parsed = VaultUri.parse(uri)
        return cls(uri, backend_for(parsed.scheme).open(parsed, OpenOptions()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._sweep()
        finally:
            self.vault.close()

    def another_user(
        self,
        *,
        driver: Driver | None = None,
        aliases: Mapping[KeyId, KeyId] | None = None,
        audit: AuditHook | None = None,
    ) -> Vault:
        """Return another Vault over the same driver, which has seen no key; do not close it."""
        return Vault(driver or self.driver, uri=self.uri, aliases=aliases, audit=audit)

    def new_name(self, length: int = 0) -> str:
        """Return a name that no key has; what gets it is destroyed at the end.

        ``length`` is how many characters it has at least.
        """
        name = f"{self._prefix}-{next(self._numbers)}".ljust(length, "x")
        self._names.append(name)
        return name

    def new_secret_name(self) -> str:
        """Return a name that no secret has; what gets it is destroyed at the end."""
        name = f"{self._prefix}-secret-{next(self._numbers)}"
        self._secret_names.append(name)
        return name

    # ------------------------------------------------------------------ what the vault can do

    def can(self, algorithm: WrapAlgorithm) -> bool:
        """Whether the vault can unwrap with ``algorithm`` and make a key for it."""
        able = algorithm in self.capabilities.algorithms
        return able and self.spec_for(algorithm) in self.capabilities.key_specs

    def can_family(self, family: KeyType) -> bool:
        """Whether the vault can seal envelopes with keys of this family that it makes."""
        return any(self.can(known) for known in ENVELOPE_ALGORITHMS if known.key_type is family)

    def spec_for(self, algorithm: WrapAlgorithm) -> KeySpec:
        """Return the smallest spec for ``algorithm``, of those that the vault makes if it can."""
        fitting = [spec for spec in KeySpec if algorithm in algorithms_for(spec)]
        makes = [spec for spec in fitting if spec in self.capabilities.key_specs]
        return min(makes or fitting, key=lambda spec: spec.bits)

    def algorithm_of(self, family: KeyType) -> WrapAlgorithm:
        """Return an envelope algorithm of a family, one that the vault has if it has any."""
        known = sorted(known for known in ENVELOPE_ALGORITHMS if known.key_type is family)
        return next((algorithm for algorithm in known if self.can(algorithm)), known[0])

    # ------------------------------------------------------------------ keys

    def key(self, algorithm: WrapAlgorithm) -> Key:
        """Return the key for ``algorithm`` that all tests share; leave it as it is."""
        return self._share(algorithm, other=False)

    def other_key(self, algorithm: WrapAlgorithm) -> Key:
        """Return a second shared key of the same kind."""
        return self._share(algorithm, other=True)

    def _share(self, algorithm: WrapAlgorithm, *, other: bool) -> Key:
        spec, purpose = self.purpose_of(algorithm)
        kind = (spec, purpose, other)
        if kind not in self._shared:
            self._shared[kind] = self.fresh_key(algorithm)
        return self._shared[kind]

    def fresh_key(self, algorithm: WrapAlgorithm) -> Key:
        """Make a key for ``algorithm`` that the test has for itself."""
        spec, purpose = self.purpose_of(algorithm)
        return self.vault.create_key(self.new_name(), spec, algorithm=purpose)

    def fresh_key_of(self, family: KeyType) -> Key:
        """Make a key of a family that the test has for itself."""
        return self.fresh_key(self.algorithm_of(family))

    def any_algorithm(self) -> WrapAlgorithm:
        """Return an envelope algorithm that the vault has, for a key that is made quickly."""
        family = KeyType.AES if self.can_family(KeyType.AES) else KeyType.RSA
        return self.algorithm_of(family)

    def any_key(self) -> Key:
        """Make a key for envelopes, of the kind that is made most quickly."""
        return self.fresh_key(self.any_algorithm())

    def purpose_of(self, algorithm: WrapAlgorithm) -> tuple[KeySpec, WrapAlgorithm | None]:
        """Return the spec, and for AES the algorithm, to make a key for ``algorithm`` with."""
        aes = algorithm.key_type is KeyType.AES
        return self.spec_for(algorithm), algorithm if aes else None

    def destroy(self, name: str) -> None:
        """Delete a key, and purge it where the vault keeps deleted ones."""
        self.vault.key(name).delete(confirm=name)
        if self.capabilities.soft_delete:
            self.vault.purge_key(name, confirm=name)

    # ------------------------------------------------------------------ the end

    def _sweep(self) -> None:
        self._sweep_secrets()
        if not self.capabilities.lifecycle:
            return
        for name in self._names:
            # Many a test has deleted its key itself, and some names never had one.
            with suppress(NotFoundError, InvalidStateError):
                self.vault.key(name).delete(confirm=name)
            if self.capabilities.soft_delete:
                with suppress(NotFoundError):
                    self.vault.purge_key(name, confirm=name)

    def _sweep_secrets(self) -> None:
        if not self.capabilities.secrets:
            return
        for name in self._secret_names:
            with suppress(NotFoundError, InvalidStateError):
                self.vault.secrets.delete(name, confirm=name)
            with suppress(NotFoundError):
                self.vault.secrets.purge(name, confirm=name)
