"""Hierarchies to test with, in memory and on a SoftHSM token, their records in SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import keyhier
from keyhier import Hierarchy, KeyId, Vault
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.volume import Volume
from keyhier.records import open_records
from keyhier.records.sql.store import SqlRecords

WEB = Volume("web-01", "C:")
DB = Volume("db-01", "/dev/sdb")
SECRET = b"what opens the disk of one machine"


@pytest.fixture
def vault() -> Iterator[Vault]:
    with keyhier.open("memory:") as vault:
        yield vault


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlRecords]:
    with open_records(f"sqlite:{tmp_path}/records.db") as store:
        yield store


@pytest.fixture
def pins() -> dict[KeyId, str]:
    return {}


@pytest.fixture
def hierarchy(vault: Vault, store: SqlRecords, pins: dict[KeyId, str]) -> Iterator[Hierarchy]:
    """One with the RSA key ``cmk`` and the AES key ``aes`` in its vault."""
    vault.create_key("cmk", "RSA-2048")
    vault.create_key("aes", "AES-256")
    with Hierarchy(vault, store, policy=Policy(pins=pins)) as hierarchy:
        yield hierarchy
