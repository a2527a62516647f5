"""Capabilities: what an open vault can do, known before any work starts."""

from __future__ import annotations

from typing import Self

import attrs

from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm
from keyhier.driver import (
    Driver,
    SupportsBackup,
    SupportsDoctor,
    SupportsExport,
    SupportsImport,
    SupportsLifecycle,
    SupportsRandom,
    SupportsRotation,
    SupportsSecrets,
    SupportsSoftDelete,
    SupportsTaggedRotation,
    SupportsTimeout,
    SupportsUnwrapInto,
)

__all__ = ["Capabilities"]


@attrs.frozen
class Capabilities:
    """What an open vault can do.

    Attributes:
        scheme: which kind of vault it is.
        key_specs: what :meth:`Vault.create_key` can make.
        algorithms: what the vault can unwrap with.
        imports, exports, rotates, soft_delete, backup, random, doctor: whether it can at all.
        rotates_for_tag: whether a new version can be made for a tag, which rotations of records
            need: whoever resumes one finds the version that was made for it.
        lifecycle: whether versions can be disabled and keys deleted.
        unwraps_into: whether a wrapped AES key can be unwrapped to stay inside and be of use there;
            not every token can do so with every algorithm.
        secrets: whether it keeps secrets besides keys.
        timeouts: whether an operation can be given a time.
    """

    scheme: str
    key_specs: tuple[KeySpec, ...]
    algorithms: tuple[WrapAlgorithm, ...]
    imports: bool
    exports: bool
    rotates: bool
    rotates_for_tag: bool
    lifecycle: bool
    soft_delete: bool
    backup: bool
    random: bool
    doctor: bool
    unwraps_into: bool
    secrets: bool
    timeouts: bool

    @classmethod
    def of(cls, driver: Driver) -> Self:
        """Say what ``driver`` can do."""
        algorithms = tuple(sorted(driver.algorithms))
        aes = any(algorithm.key_type is KeyType.AES for algorithm in algorithms)
        return cls(
            scheme=driver.scheme,
            key_specs=tuple(sorted(driver.key_specs)),
            algorithms=algorithms,
            imports=isinstance(driver, SupportsImport),
            exports=isinstance(driver, SupportsExport),
            rotates=isinstance(driver, SupportsRotation),
            rotates_for_tag=isinstance(driver, SupportsTaggedRotation),
            lifecycle=isinstance(driver, SupportsLifecycle),
            soft_delete=isinstance(driver, SupportsSoftDelete),
            backup=isinstance(driver, SupportsBackup),
            random=isinstance(driver, SupportsRandom),
            doctor=isinstance(driver, SupportsDoctor),
            unwraps_into=aes and isinstance(driver, SupportsUnwrapInto),
            secrets=isinstance(driver, SupportsSecrets),
            timeouts=isinstance(driver, SupportsTimeout),
        )
