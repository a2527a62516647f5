"""The memory vault, alone and in a file, held to the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyhier.testing.contract import Contract, Harness, VaultUnderTest
from keyhier.testing.contract.backups import Backups
from keyhier.testing.contract.lifecycle import Lifecycle
from keyhier.testing.contract.opening import Opening
from keyhier.testing.contract.stored_secrets import StoredSecrets
from keyhier.testing.contract.versions import Versions
from tests.memory.vaults import PASSPHRASE, open_file


class TestMemoryContract(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def vault_uri(cls) -> str:
        return "memory:"


class TestMemoryFileContract(Opening, Lifecycle, Versions, Backups, StoredSecrets, Harness):
    """What a file makes a difference to."""

    @pytest.fixture(scope="class")
    @classmethod
    def path(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("vault") / "vault"

    @pytest.fixture(scope="class")
    @classmethod
    def vault_uri(cls, path: Path) -> str:
        passphrase = path.with_name("passphrase")
        passphrase.touch(mode=0o600)
        passphrase.write_text(PASSPHRASE)
        return f"memory:?file={path}&pin-source=file:{passphrase}"

    @pytest.fixture(scope="class")
    @classmethod
    def under_test(cls, path: Path, vault_uri: str) -> Iterator[VaultUnderTest]:
        # Every change derives the key again, so what is open all the time does that cheaply.
        with VaultUnderTest(vault_uri, open_file(path)) as opened:
            yield opened
