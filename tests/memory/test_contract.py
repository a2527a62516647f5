"""The memory vault, alone and in a file, held to the contract."""

from __future__ import annotations

import pytest

from keyhier.testing.contract import Contract


class TestMemoryContract(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def vault_uri(cls) -> str:
        return "memory:"


class TestMemoryFileContract(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def vault_uri(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        folder = tmp_path_factory.mktemp("vault")
        passphrase = folder / "passphrase"
        passphrase.touch(mode=0o600)
        passphrase.write_text("correct horse battery staple")
        return f"memory:?file={folder}/vault&pin-source=file:{passphrase}"
