"""`keyhier rotate`, `keyhier migrate` and `keyhier jobs`."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

import keyhier
from keyhier.records import Record, new_record_id, open_records
from tests.cli.conftest import Run, VaultFile, on_a_terminal


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "records.db"


@pytest.fixture
def places(vault_file: VaultFile, database: Path) -> list[str]:
    return ["--vault", vault_file.uri, "--records", f"sqlite:{database}"]


@pytest.fixture
def records(vault_file: VaultFile, database: Path) -> list[Record]:
    with vault_file.open() as vault, open_records(f"sqlite:{database}") as store:
        made = []
        for number in range(5):
            context = {"record": new_record_id()}
            wrapped = vault.key("kek").wrap(b"secret", context=context)
            made.append(Record.of(wrapped, vm=f"web-{number}"))
        return store.add(*made)


@pytest.fixture
def other(tmp_path: Path, vault_file: VaultFile) -> str:
    uri = f"memory:?file={tmp_path}/other&pin-source=file:{vault_file.passphrase}"
    with keyhier.open(uri) as vault:
        vault.create_key("there", "AES-256")
    return uri


def dump(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        lines = list(connection.iterdump())
    connection.close()
    return lines


def test_a_key_is_rotated_shown_and_finalised(
    places: list[str], records: list[Record], run: Run
) -> None:
    done = run("rotate", "kek", *places)
    assert done.exit_code == 0, done.output
    assert "5 swapped" in done.stdout
    listed = json.loads(run("jobs", "list", "--json", *places[2:]).stdout)["jobs"]
    (job,) = listed
    assert (job["kind"], job["state"], job["keys"]) == ("rotate", "done", ["memory:kek"])
    assert job["id"] in run("jobs", "list", *places[2:]).stdout
    assert "5 swapped" in run("jobs", "show", job["id"], *places[2:]).stdout
    again = json.loads(run("rotate", "--join", job["id"], "--json", *places).stdout)
    assert again["records"] == {"pending": 0, "swapped": 5, "failed": 0, "left": 0}
    assert run("jobs", "finalize", job["id"], *places[2:]).exit_code == 0
    assert "no jobs" in run("jobs", "list", *places[2:]).stdout
    assert job["id"] in run("jobs", "list", "--all", *places[2:]).stdout
    assert run("jobs", "forget", job["id"], *places[2:]).exit_code == 0
    assert run("jobs", "show", job["id"], *places[2:]).exit_code == 3


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    places: list[str], records: list[Record], database: Path, run: Run
) -> None:
    before = dump(database)
    shown = run("rotate", "kek", "--dry-run", *places)
    assert shown.exit_code == 0, shown.output
    assert "5 records would be wrapped anew" in shown.stdout
    document = json.loads(run("rotate", "kek", "--dry-run", "--json", *places).stdout)
    assert document["records"] == 5
    assert document["versions"] == [{"from": str(records[0].key), "to": None}]
    assert dump(database) == before


def test_a_record_that_fails_is_named_and_the_exit_code_says_so(
    places: list[str], records: list[Record], database: Path, run: Run
) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute(
            "UPDATE keyhier_records SET envelope = ? WHERE id = ?",
            (records[1].envelope, records[0].id),
        )
    connection.close()
    preview = run("rotate", "kek", "--dry-run", *places)
    assert (preview.exit_code, records[0].id in preview.stdout) == (14, True)
    done = run("rotate", "kek", *places)
    assert done.exit_code == 14
    assert f"record {records[0].id} failed" in done.stdout
    assert "1 of 5 records" in done.stderr
    document = json.loads(run("rotate", "kek", "--json", *places).stdout)
    assert [each["record"] for each in document["failed"]] == [records[0].id]
    shown = json.loads(run("jobs", "show", document["id"], "--json", *places[2:]).stdout)
    assert shown["failed"] == document["failed"]


def test_a_rotation_is_rolled_back(places: list[str], records: list[Record], run: Run) -> None:
    job = json.loads(run("rotate", "kek", "--json", *places).stdout)["id"]
    done = run("jobs", "rollback", job, *places)
    assert done.exit_code == 0, done.output
    assert "5 records restored" in done.stdout


def test_records_are_migrated_with_a_map_from_the_line_or_a_file(
    places: list[str], records: list[Record], other: str, tmp_path: Path, run: Run
) -> None:
    missing = run("migrate", "--to", other, *places)
    assert (missing.exit_code, "lacks kek" in missing.stderr) == (3, True)
    mapping = tmp_path / "map.json"
    mapping.write_text(json.dumps({"kek": "there"}))
    shown = run("migrate", "--to", other, "--map-file", mapping, "--dry-run", *places)
    assert shown.exit_code == 0, shown.output
    assert "5 from" in shown.stdout
    done = run("migrate", "--to", other, "--map", "kek=there", *places)
    assert done.exit_code == 0, done.output
    assert "5 swapped" in done.stdout
    job = json.loads(run("jobs", "list", "--json", *places[2:]).stdout)["jobs"][0]["id"]
    assert run("migrate", "--to", other, "--join", job, *places).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["rotate"],
        ["rotate", "kek", "--join", "job"],
        ["rotate", "--join", "job", "--dry-run"],
        ["migrate", "--to", "memory:", "--map", "kek"],
        ["migrate", "--to", "memory:", "--map", "a=b", "--map", "a=c"],
        ["migrate", "--to", "memory:", "--join", "job", "--dry-run"],
    ],
)
def test_what_goes_together_is_checked(arguments: list[str], places: list[str], run: Run) -> None:
    assert run(*arguments, *places).exit_code == 8


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"a": 1}', '{"a": ""}', "[" * 100_000])
def test_a_broken_map_is_refused(content: str, places: list[str], tmp_path: Path, run: Run) -> None:
    mapping = tmp_path / "map.json"
    mapping.write_text(content)
    assert run("migrate", "--to", "memory:", "--map-file", mapping, *places).exit_code == 8
    mapping.unlink()
    assert run("migrate", "--to", "memory:", "--map-file", mapping, *places).exit_code == 6


def test_a_terminal_is_shown_how_far_it_is(places: list[str], records: list[Record]) -> None:
    shown, code = on_a_terminal("rotate", "kek", *places)
    assert code == 0, shown
    assert b"records" in shown
