"""Memory vaults for tests, and small things to do with them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey, KeyVersion, OpenOptions
from keyhier.pin import PinSource
from keyhier.secret import SecretBytes
from keyhier.uri import VaultUri
from keyhier_memory import backend
from keyhier_memory.driver import MemoryDriver
from keyhier_memory.file_format import Cost
from keyhier_memory.file_store import FileStore
from keyhier_memory.vault_file import VaultFile

PASSPHRASE: Final = "correct horse battery staple"

CHEAP: Final = Cost(log2_n=14, p=1)
"""The least that a file may ask for, so that tests that write often do not take long."""


def open_memory() -> MemoryDriver:
    """Open an empty vault without a file, as the entry point does."""
    driver = backend.open(VaultUri.parse("memory:"), OpenOptions())
    assert isinstance(driver, MemoryDriver)
    return driver


def open_file(
    path: Path, passphrase: str = PASSPHRASE, *, lock_seconds: float = 60
) -> MemoryDriver:
    """Open the vault in ``path``, or make it, with the cheapest derivation for what is written."""
    source = PinSource(callback=lambda _: passphrase)
    return MemoryDriver(FileStore.open(VaultFile(path, lock_seconds), source, CHEAP))


def create_aes(driver: MemoryDriver, name: str = "kek") -> KeyVersion:
    """Make an AES-256 key for A256KW, the fastest kind to make."""
    return driver.create_key(CreateKey(name, KeySpec.AES_256, WrapAlgorithm.A256KW))


def seal(driver: MemoryDriver, key: KeyVersion, secret: bytes = bytes(range(32))) -> bytes:
    """Wrap under an A256KW key."""
    return driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes(secret))


def opened(driver: MemoryDriver, key: KeyVersion, wrapped: bytes) -> bytes:
    """Unwrap under an A256KW key."""
    with driver.unwrap(key, WrapAlgorithm.A256KW, wrapped) as secret:
        return secret.reveal()
