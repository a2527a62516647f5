"""The examination of a memory vault: its file, its algorithms, its keys."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.doctor import Finding, Severity, guarded
from keyhier.errors import KeyhierError
from keyhier.rsa_wrap import wrap as wrap_locally
from keyhier.secret import SecretBytes
from keyhier_memory import operations
from keyhier_memory.keys import Material

if TYPE_CHECKING:
    from keyhier_memory.store import Store
    from keyhier_memory.vault_file import VaultFile

__all__ = ["examine"]

_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_AES: Final = {
    WrapAlgorithm.A128KW: KeySpec.AES_128,
    WrapAlgorithm.A192KW: KeySpec.AES_192,
    WrapAlgorithm.A256KW: KeySpec.AES_256,
    WrapAlgorithm.A256KWP: KeySpec.AES_256,
    WrapAlgorithm.A256GCM: KeySpec.AES_256,
    WrapAlgorithm.A256GCMKW: KeySpec.AES_256,
}
_RSA: Final = (WrapAlgorithm.RSA_OAEP, WrapAlgorithm.RSA_OAEP_256, WrapAlgorithm.RSA1_5)


def examine(store: Store) -> Iterator[Finding]:
    """Yield what is found; see :meth:`keyhier.driver.SupportsDoctor.examine`."""
    yield from guarded("file", lambda: _file(store.file))
    yield from guarded("keys", lambda: _keys(store))
    private = Material.generate(KeySpec.RSA_2048, None)
    for algorithm in _RSA:
        yield from guarded(f"algorithm.{algorithm}", partial(_tried, algorithm, private))
    for algorithm, spec in _AES.items():
        material = Material.generate(spec, algorithm)
        yield from guarded(f"algorithm.{algorithm}", partial(_tried, algorithm, material))


def _file(file: VaultFile | None) -> Iterator[Finding]:
    check = "file"
    if file is None:
        found = "the keys are in this process only, and are gone when it ends"
        yield Finding(check, Severity.NOTE, found, "to keep them, add ?file=/path to the URI")
        return
    folder = file.path.parent
    mode = folder.stat().st_mode
    if mode & _WRITABLE_BY_OTHERS and not mode & stat.S_ISVTX:
        found = f"others may rename and replace files in {folder} (mode {stat.S_IMODE(mode):04o})"
        yield Finding(check, Severity.WARNING, found, f"chmod go-w {folder}, or move the vault")
    else:
        found = f"{file.path} is for its owner alone, and sealed under a passphrase"
        yield Finding(check, Severity.OK, found)
    if file.unfinished.exists():
        found = f"{file.unfinished} is there: a write was cut short, or is going on"
        yield Finding(check, Severity.NOTE, found, "the next write replaces it")


def _keys(store: Store) -> Iterator[Finding]:
    keys = store.read().keys.values()
    versions = [version for key in keys for version in key.versions.values()]
    disabled = sum(not version.enabled for version in versions)
    deleted = [key.name for key in keys if key.deleted]
    found = f"{len(keys)} keys in {len(versions)} versions, {disabled} of them disabled"
    yield Finding("keys", Severity.OK, found)
    if deleted:
        found = f"{len(deleted)} keys are soft-deleted, and still in the vault"
        yield Finding("keys.deleted", Severity.NOTE, found, "recover them, or purge them")


def _tried(algorithm: WrapAlgorithm, material: Material) -> Iterator[Finding]:
    check = f"algorithm.{algorithm}"
    remedy = "see which OpenSSL `cryptography` uses here, and its policy"
    try:
        with SecretBytes.random(32) as secret:
            if material.public_key is not None:
                wrapped = wrap_locally(material.public_key, algorithm, secret)
            else:
                wrapped = operations.wrap(material, algorithm, secret, b"")
            with operations.unwrap(material, algorithm, wrapped, b"") as opened:
                right = opened == secret
    except (KeyhierError, UnsupportedAlgorithm) as error:
        found = f"it cannot be used in this process: {error}"
        yield Finding(check, Severity.WARNING, found, remedy)
        return
    if right:
        yield Finding(check, Severity.OK, "it opens what it wrapped")
    else:
        yield Finding(check, Severity.ERROR, "it does not open what it wrapped", remedy)
