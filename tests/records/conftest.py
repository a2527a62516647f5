"""Stores to test with: each test that asks for one runs in memory, SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyhier
from keyhier import Key, Vault, WrappedKey
from keyhier.records import Record, Records, new_record_id, open_records
from keyhier.records.sql.store import SqlRecords
from keyhier.testing.postgresql import Postgresql

SECRET = b"what opens the disk of one machine"


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    if request.param == "memory":
        return "memory:"
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/records.db?timeout=5"
    server: Postgresql = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store that several processes can open."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/records.db?timeout=5"
    server: Postgresql = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def postgresql_url(postgresql: Postgresql) -> str:
    """The URL of an empty store in PostgreSQL."""
    return postgresql.new_database()


@pytest.fixture
def store(url: str) -> Iterator[SqlRecords]:
    with open_records(url) as store:
        yield store


@attrs.frozen
class Maker:
    """Makes records under the versions of one key."""

    vault: Vault
    first: Key

    def record(self, key: Key | None = None, **attributes: Any) -> Record:
        record_id = attributes.pop("id", None) or new_record_id()
        wrapped = (key or self.first).wrap(SECRET, context={"record": record_id})
        return Record.of(wrapped, **attributes)

    def again(self, record: Record, key: Key) -> WrappedKey:
        """Wrap what is in a record under another version."""
        with self.vault.unwrap(record.wrapped, context={"record": record.id}) as secret:
            return key.wrap(secret, context={"record": record.id})

    def opens(self, record: Record) -> bool:
        with self.vault.unwrap(record.wrapped, context={"record": record.id}) as secret:
            return secret == SECRET


@pytest.fixture(scope="session")
def vault() -> Iterator[Vault]:
    with keyhier.open("memory:") as vault:
        yield vault


@pytest.fixture
def maker(vault: Vault, request: pytest.FixtureRequest) -> Maker:
    name = f"kek-{abs(hash(request.node.nodeid)):x}"
    return Maker(vault, vault.create_key(name, "AES-256"))


@pytest.fixture
def filled(store: SqlRecords, maker: Maker) -> Callable[..., list[Record]]:
    def fill(count: int, **attributes: Any) -> list[Record]:
        return store.add(*(maker.record(**attributes) for _ in range(count)))

    return fill


def ids(records: Records, *query: Any) -> list[str]:
    return [record.id for record in records.find(*query)]
