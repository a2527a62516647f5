"""Capabilities: what an open vault can do, known before any work starts."""

from __future__ import annotations

from typing import Self

import attrs

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import (
    Driver,
    SupportsBackup,
    SupportsDoctor,
    SupportsImport,
    SupportsLifecycle,
    SupportsRandom,
    SupportsRotation,
    SupportsSoftDelete,
)

__all__ = ["Capabilities"]


@attrs.frozen
class Capabilities:
    """What an open vault can do.

    Attributes:
        scheme: which kind of vault it is.
        key_specs: what :meth:`Vault.create_key` can make.
        algorithms: what the vault can unwrap with.
        imports, rotates, soft_delete, backup, random, doctor: whether it can at all.
        lifecycle: whether versions can be disabled and keys deleted.
    """

    scheme: str
    key_specs: tuple[KeySpec, ...]
    algorithms: tuple[WrapAlgorithm, ...]
    imports: bool
    rotates: bool
    lifecycle: bool
    soft_delete: bool
    backup: bool
    random: bool
    doctor: bool

    @classmethod
    def of(cls, driver: Driver) -> Self:
        """Say what ``driver`` can do."""
        return cls(
            scheme=driver.scheme,
            key_specs=tuple(sorted(driver.key_specs)),
            algorithms=tuple(sorted(driver.algorithms)),
            imports=isinstance(driver, SupportsImport),
            rotates=isinstance(driver, SupportsRotation),
            lifecycle=isinstance(driver, SupportsLifecycle),
            soft_delete=isinstance(driver, SupportsSoftDelete),
            backup=isinstance(driver, SupportsBackup),
            random=isinstance(driver, SupportsRandom),
            doctor=isinstance(driver, SupportsDoctor),
        )
