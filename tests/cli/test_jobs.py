"""`keyhier rotate`, `keyhier migrate` and `keyhier jobs`."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

import keyhier
from keyhier.records import ItemState, Job, Query, Record, new_record_id, open_records
from keyhier.records.jobs import new_job_id
from keyhier.records.sql.store import SqlRecords
from tests.cli.conftest import COMMAND, Run, VaultFile, on_a_terminal


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
    assert "next: `keyhier jobs finalize" in done.stdout
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


def test_a_rotation_that_is_complete_is_not_done_once_more_and_says_what_ends_it(
    places: list[str], vault_file: VaultFile, records: list[Record], run: Run
) -> None:
    job = json.loads(run("rotate", "kek", "--json", *places).stdout)["id"]
    again = run("rotate", "kek", *places)
    assert again.exit_code == 9
    assert "was complete before" in again.stderr
    for end in ("finalize", "rollback"):
        assert f"keyhier jobs {end} {job}" in again.stderr
    with vault_file.open() as vault:
        assert len(vault.key("kek").versions()) == 2
    # Whoever names the job wants nothing but that it is done.
    assert run("rotate", "--join", job, *places).exit_code == 0
    assert run("jobs", "finalize", job, *places[2:]).exit_code == 0
    assert run("rotate", "kek", *places).exit_code == 0


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
    assert run("migrate", "--to", other, "--map", "kek=there", *places).exit_code == 9
    joined = run("migrate", "--to", other, "--join", job, *places)
    assert (joined.exit_code, "give the --to and --map" in joined.stderr) == (14, True)
    joined = run("migrate", "--to", other, "--map", "kek=there", "--join", job, *places)
    assert joined.exit_code == 0, joined.output


def test_a_migration_names_the_sets_and_keks_that_somebody_has_to_see_to(
    places: list[str], vault_file: VaultFile, database: Path, other: str, run: Run
) -> None:
    with vault_file.open() as vault:
        vault.create_key("root", "AES-256")
    for name, under in (("team", "root"), ("other", "kek")):
        assert run("create-kek", name, "--under", under, *places).exit_code == 0
    assert run("set", "create", "web", "--key", "kek", *places).exit_code == 0
    with keyhier.open(other) as vault:
        new = vault.create_key("public", "RSA-2048")
    arguments = ["migrate", "--to", other, "--map", "root=public", "--map", "kek=public"]
    done = run(*arguments, *places)
    assert done.exit_code == 0, done.output
    pinned = re.search(r"warning: (record:keys/team/\w+) lies under a public key", done.stdout)
    assert pinned is not None
    assert f'"{pinned[1]}" = "' in done.stdout
    mended = re.search(r"`keyhier (set refer web --key '(\S+)')`", done.stdout)
    assert mended is not None
    assert mended[2] == str(new.id.versionless)
    assert run(*shlex.split(mended[1]), "--vault", other, *places[2:]).exit_code == 0


def test_a_rotation_names_what_it_leaves_in_its_json(
    places: list[str], vault_file: VaultFile, records: list[Record], run: Run
) -> None:
    assert run("set", "create", "web", "--key", "kek", "--pin", *places).exit_code == 0
    assert run("set", "create", "follower", "--key", "kek", *places).exit_code == 0
    document = json.loads(run("rotate", "kek", "--json", *places).stdout)
    assert document["left_behind"] == {
        "sets": {"web": document["target"]},
        "unobserved": ["follower"],
        "pins": {},
    }


def test_what_comes_too_late_or_too_early_for_a_job_is_told_with_what_to_do(
    places: list[str], records: list[Record], tmp_path: Path, run: Run
) -> None:
    job = json.loads(run("rotate", "kek", "--json", *places).stdout)["id"]
    with open_records(f"sqlite:{tmp_path}/records.db") as store:
        begun = store.journal.begin(Job(kind="rotate", keys=("memory:other",), intent={}))
    early = run("jobs", "finalize", begun.id, *places[2:])
    assert early.exit_code == 9
    assert "`keyhier rotate --join JOB`" in early.stderr
    assert run("jobs", "finalize", job, *places[2:]).exit_code == 0
    late = run("jobs", "rollback", job, *places)
    assert late.exit_code == 9
    assert "the envelopes before are gone" in late.stderr


def test_a_rotation_names_the_sets_that_have_to_be_observed(
    places: list[str], vault_file: VaultFile, records: list[Record], run: Run
) -> None:
    assert run("set", "create", "web", "--key", "kek", *places).exit_code == 0
    done = run("rotate", "kek", *places).stdout
    mended = re.search(r"`keyhier (set observe web)`", done)
    assert mended is not None
    assert run(*mended[1].split(), *places).exit_code == 0
    with vault_file.open() as vault:
        latest = vault.key("kek").id
    shown = json.loads(run("set", "show", "web", "--json", *places).stdout)
    assert shown["active"] == str(latest)


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_says_that_the_job_is_kept_and_how_to_go_on(
    places: list[str], records: list[Record], tmp_path: Path, as_json: bool
) -> None:
    # A worker elsewhere holds a record, so that the command waits.
    database = tmp_path / "records.db"
    with open_records(f"sqlite:{database}") as store:
        job = held_job(store, records)
        arguments = ["rotate", "--join", job, *(["--json"] if as_json else [])]
        child = subprocess.Popen(
            [COMMAND, *arguments, *places], stderr=subprocess.PIPE, start_new_session=True
        )
        while store.journal.counts(job)[ItemState.SWAPPED] < 4:
            assert child.poll() is None
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, told = child.communicate()
    assert child.returncode == 130
    assert f"keyhier rotate --join {job}".encode() in told
    assert job.encode() in told
    assert b"Traceback" not in told
    if as_json:
        assert json.loads(told)["interrupted"]["job"] == job
    else:
        assert len(told.splitlines()) == 1


def held_job(store: SqlRecords, records: list[Record]) -> str:
    """Begin a rotation of all records, of which a worker that never goes on holds one."""
    (old,) = {record.key for record in records}
    keys = (str(old.versionless),)
    job = new_job_id()
    intent = {"from": [str(old)], "latest": str(old), "tag": job}
    store.journal.begin(Job(id=job, kind="rotate", keys=keys, intent=intent))
    store.journal.plan(job, Query(key=old))
    (claim,) = store.journal.claim(job, "another", 1, 3600)
    assert claim.record.key == old
    return job


def test_a_key_moves_with_its_records_where_it_may(
    places: list[str], vault_file: VaultFile, database: Path, other: str, run: Run
) -> None:
    with vault_file.open() as vault, open_records(f"sqlite:{database}") as store:
        keys = {
            name: vault.create_key(name, "AES-256", extractable=may_leave)
            for name, may_leave in (("moving", True), ("staying", False))
        }
        made = {}
        for name, key in keys.items():
            context = {"record": new_record_id()}
            (made[name],) = store.add(Record.of(key.wrap(b"secret", context=context)))
        move = ["migrate", "--to", other, "--move-key"]
        refused = run(*move, *places)
        assert (refused.exit_code, "not made extractable" in refused.stderr) == (10, True)
        assert "no jobs" in run("jobs", "list", *places[2:]).stdout
        store.delete(made["staying"])
        shown = run(*move, "--dry-run", *places)
        assert (shown.exit_code, "1 record would" in shown.stdout) == (0, True), shown.output
        done = run(*move, *places)
        assert done.exit_code == 0, done.output
        record = store.get(made["moving"].id)
    job = json.loads(run("jobs", "list", "--json", *places[2:]).stdout)["jobs"][0]["id"]
    with keyhier.open(other) as vault:
        assert record.key == vault.key("moving").id
    joined = run("migrate", "--to", other, "--join", job, *places)
    assert (joined.exit_code, "add --move-key" in joined.stderr) == (9, True)
    assert run(*move, "--join", job, *places).exit_code == 0


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
    # How many there are, and how long it still takes.
    assert re.search(rb"\d/5.*\d:\d\d:\d\d", shown), shown
