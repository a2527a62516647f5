"""The schema: made and migrated when a store is opened, refused when it is newer."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from keyhier.errors import (
    AccessDeniedError,
    IntegrityError,
    InvalidStateError,
    NotFoundError,
    UnsupportedError,
)
from keyhier.records import Query, open_records
from keyhier.records.sql import migrations
from keyhier.records.sql.schema import HEAD
from keyhier.records.sql.store import SqlRecords
from keyhier.records.sql.tables import VERSION_TABLE, metadata
from tests.records.conftest import Maker


def note_version(url: str, version: str) -> None:
    with open_records(url) as store, store._database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '{version}'")


def test_the_migrations_make_the_tables_that_the_code_uses(store: SqlRecords) -> None:
    with store._database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD


def test_the_newest_migration_is_the_one_the_code_works_with() -> None:
    (folder,) = migrations.__path__
    assert ScriptDirectory(folder).get_current_head() == HEAD


def test_a_newer_schema_is_refused_and_left_alone(shared_url: str) -> None:
    note_version(shared_url, "0099")
    for _ in range(2):
        with pytest.raises(
            UnsupportedError, match=f"has schema 0099, and this keyhier knows {HEAD}"
        ):
            open_records(shared_url)


def test_a_version_that_is_none_is_damage(shared_url: str) -> None:
    note_version(shared_url, "abc")
    with pytest.raises(IntegrityError, match="notes no version"):
        open_records(shared_url)


def test_stores_that_are_opened_at_once_are_migrated_once(shared_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: open_records(shared_url), range(4)))
    for store in stores:
        assert store.count() == 0
        store.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE keyhier_labels (other TEXT)")
    with pytest.raises(IntegrityError, match="tables are not what they should be"):
        open_records(f"sqlite:{path}")
    with sqlite3.connect(path) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        assert tables.fetchall() == [("keyhier_labels",)]


def test_a_store_that_is_read_only_refuses_changes(shared_url: str, maker: Maker) -> None:
    with open_records(shared_url) as store:
        (record,) = store.add(maker.record())
    with open_records(shared_url, read_only=True) as store:
        assert list(store.find(Query())) == [record]
        with pytest.raises(AccessDeniedError, match="opened to be read only"):
            store.delete(record)
        # The database itself refuses it, too.
        with pytest.raises(AccessDeniedError), store._database.reading() as connection:
            connection.exec_driver_sql("DELETE FROM keyhier_records")


def test_a_store_without_tables_cannot_be_opened_to_be_read_only(
    postgresql_url: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidStateError, match="no tables yet"):
        open_records(postgresql_url, read_only=True)
    with pytest.raises(NotFoundError):
        open_records(f"sqlite:{tmp_path}/none.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_for_its_owner_and_safe_against_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    with open_records(f"sqlite:{path}") as store:
        assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}
        with store._database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    assert [each.name for each in tmp_path.iterdir()] == ["records.db"]


def test_a_child_of_a_fork_has_connections_of_its_own(shared_url: str, maker: Maker) -> None:
    with open_records(shared_url) as store:
        store.add(maker.record())
        child = os.fork()
        if not child:
            os._exit(0 if store.count() == 1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert store.count() == 1


def test_without_the_packages_it_is_told_what_to_install() -> None:
    code = """
import sys
sys.modules["sqlalchemy"] = None
import keyhier.records
try:
    keyhier.records.open_records("memory:")
except keyhier.UnsupportedError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs the package sqlalchemy" in done.stdout
    assert "pip install 'keyhier[sql]'" in done.stdout
