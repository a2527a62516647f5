"""A quick vault, disk keys in files, and what the commands on them answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from keyhier.volume import LinuxPassphrase
from tests.azure_disk.forms import GUID, VERSION, ade_bek
from tests.cli.conftest import VaultFile

ELSEWHERE = f"https://fabrikam.vault.azure.net/keys/kek/{VERSION}"


@pytest.fixture
def uri(vault_file: VaultFile, monkeypatch: pytest.MonkeyPatch) -> str:
    """The usual vault, with the RSA key ``kek`` of 2,048 bits."""
    monkeypatch.setenv("KEYHIER_VAULT", vault_file.uri)
    return vault_file.uri


@pytest.fixture
def bek_file(tmp_path: Path) -> Path:
    with ade_bek() as bek:
        return bek.write(tmp_path)


@pytest.fixture
def passphrase_file(tmp_path: Path) -> Path:
    with LinuxPassphrase.generate() as passphrase:
        passphrase.write(tmp_path / "passphrase.key")
    return tmp_path / "passphrase.key"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def shown(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def failed(result: Result, exit_code: int) -> str:
    """Return the one line of a refusal."""
    assert result.exit_code == exit_code, result.output
    assert not result.stdout
    (line,) = result.stderr.splitlines()
    return line


def put(vault_file: VaultFile, value: str, content_type: str | None, **tags: str) -> str:
    with vault_file.open() as vault:
        return str(vault.secrets.set(GUID, value, content_type=content_type, tags=tags).id)
