"""Memory vaults as fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyhier_memory.driver import MemoryDriver
from tests.memory.vaults import open_file, open_memory


@pytest.fixture
def vault_path(tmp_path: Path) -> Path:
    return tmp_path / "vault"


@pytest.fixture(params=["alone", "in a file"])
def driver(request: pytest.FixtureRequest, vault_path: Path) -> Iterator[MemoryDriver]:
    """An empty vault; the same promises hold with a file and without."""
    vault = open_memory() if request.param == "alone" else open_file(vault_path)
    yield vault
    vault.close()
