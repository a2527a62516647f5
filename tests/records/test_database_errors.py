"""Errors of databases: told in keyhier's terms, and nothing half done is left."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from keyhier.errors import (
    AccessDeniedError,
    AuthenticationError,
    CapacityError,
    ConflictError,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    UnavailableError,
)
from keyhier.records import open_records
from keyhier.records.sql.store import SqlRecords
from keyhier.testing.postgresql import Postgresql
from tests.records.conftest import Maker


@pytest.fixture
def small_disk() -> Iterator[None]:
    """A disk that takes hardly more than the tables: SQLite counts the pages itself."""

    def limit(connection: object, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA max_page_count = 40")

    event.listen(Engine, "connect", limit)
    yield
    event.remove(Engine, "connect", limit)


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_told_and_nothing_is_half_kept(tmp_path: Path, maker: Maker) -> None:
    with open_records(f"sqlite:{tmp_path}/records.db") as store:
        with pytest.raises(CapacityError, match="the disk is full") as raised:
            store.add(*(maker.record() for _ in range(300)))
        assert "SQLITE_FULL" in (raised.value.native or "")
        assert store.count() == 0
        store.add(maker.record())


def test_a_file_that_another_holds_locked_is_told(tmp_path: Path, maker: Maker) -> None:
    path = tmp_path / "records.db"
    with open_records(f"sqlite:{path}?timeout=0.1") as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="holds the database locked"):
            store.add(maker.record())
        assert store.count() == 0
        other.execute("COMMIT")
        other.close()
        store.add(maker.record())


def test_what_is_no_database_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, " * 100)
    with pytest.raises(IntegrityError, match="is no SQLite database"):
        open_records(f"sqlite:{path}")
    assert path.read_text() == "Dear reader, " * 100
    with pytest.raises(NotFoundError, match="there is no folder"):
        open_records(f"sqlite:{tmp_path}/none/records.db")
    with pytest.raises(NotFoundError, match="cannot be opened"):
        open_records(f"sqlite:{tmp_path}")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("53100", CapacityError),
        ("53300", UnavailableError),
        ("57P01", UnavailableError),
        ("42501", AccessDeniedError),
        ("28000", AuthenticationError),
        ("3D000", NotFoundError),
        ("23503", ConflictError),
        ("40P01", UnavailableError),
        ("22021", InvalidInputError),
        ("XX001", IntegrityError),
    ],
)
def test_what_postgresql_raises_is_told_by_its_code(
    code: str, error: type[KeyhierError], postgresql_url: str, maker: Maker
) -> None:
    with open_records(postgresql_url) as store:
        raising = f"""
            CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'no luck' USING ERRCODE = '{code}', DETAIL = 'the row'; END $$;
            CREATE TRIGGER fails AFTER INSERT ON keyhier_labels
            FOR EACH ROW EXECUTE FUNCTION fails();
        """
        with store._database.writing() as connection:
            connection.exec_driver_sql(raising)
        with pytest.raises(error) as raised:
            store.add(maker.record(labels={"a": "b"}))
        assert type(raised.value) is error
        assert "no luck" in (raised.value.native or "")
        assert "the row" not in str(raised.value)
        assert raised.value.__suppress_context__
        assert store.count() == 0


def test_a_server_that_is_away_is_told_and_found_again(maker: Maker) -> None:
    with Postgresql() as server, open_records(server.new_database()) as store:
        (record,) = store.add(maker.record())
        server.stop()
        with pytest.raises(UnavailableError):
            store.count()
        server.start()
        assert store.get(record.id) == record


def test_a_database_that_is_not_there_is_told(postgresql_url: str) -> None:
    with pytest.raises(NotFoundError, match="there is no such database"):
        open_records(postgresql_url.replace("keyhier_", "other_"))
    with pytest.raises(UnavailableError, match="the database is away"):
        open_records("postgresql:///keys?host=/nowhere")
    with pytest.raises(AuthenticationError, match="does not accept who is asking"):
        open_records(postgresql_url.replace("user=keyhier", "user=nobody-knows"))


def test_promise_7_a_password_is_referred_to_and_never_shown(
    postgresql_url: str, tmp_path: Path
) -> None:
    source = tmp_path / "password"
    source.write_text("hunter2")
    with open_records(f"{postgresql_url}&password-source=file:{source}") as store:
        assert store.count() == 0
        assert "hunter2" not in repr(store) + store.url
    with pytest.raises(AuthenticationError, match="password for the database"):
        open_records(f"{postgresql_url}&password-source=env:KEYHIER_NO_SUCH_VARIABLE")


def test_text_that_no_database_holds_is_told(store: SqlRecords) -> None:
    with pytest.raises(InvalidInputError, match="cannot hold a value"):
        store.get("\ud800")


def test_text_that_postgresql_cannot_hold_is_told(postgresql_url: str) -> None:
    with open_records(postgresql_url) as store, pytest.raises(InvalidInputError):
        store.get("\0")


def test_memory_is_gone_when_it_is_closed(maker: Maker) -> None:
    with open_records("memory:") as store:
        store.add(maker.record())
    with open_records("memory:") as other:
        assert other.count() == 0
    with pytest.raises(InvalidStateError):
        store.count()


def test_tables_that_somebody_dropped_are_told(store: SqlRecords) -> None:
    with store._database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE keyhier_sets")
    with pytest.raises(IntegrityError, match="tables are not what they should be"):
        store.sets.all()
