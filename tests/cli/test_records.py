"""`keyhier records`: listed, shown, exported and imported."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from typer.testing import Result

import keyhier
from keyhier.hierarchy.kek_cache import CacheLimits
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.volume import Volume
from keyhier.records import Record, RecordState, new_record_id, open_records
from tests.cli.conftest import Process, Run


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path}/records.db"


@pytest.fixture
def records(url: str) -> list[Record]:
    with keyhier.open("memory:") as vault, open_records(url) as store:
        kek = vault.create_key("kek", "AES-256")

        def record(**attributes: object) -> Record:
            context = {"record": new_record_id()}
            return Record.of(kek.wrap(b"secret", context=context), **attributes)

        kept = store.add(
            record(vm="web-01", volume="C:", set="web", labels={"os": "win"}),
            record(vm="web-02", set="web"),
            record(vm="db-01", details={"a": 1}),
        )
    return sorted(kept, key=lambda each: each.id)


def test_records_are_listed(url: str, records: list[Record], run: Run) -> None:
    listed = run("records", "list", "--records", url)
    assert listed.exit_code == 0
    assert all(record.id in listed.stdout for record in records)
    document = json.loads(run("records", "list", "--records", url, "--json").stdout)
    assert [each["id"] for each in document["records"]] == [record.id for record in records]


@pytest.mark.parametrize(
    ("options", "machines"),
    [
        (["--vm", "web-01"], {"web-01"}),
        (["--set", "web"], {"web-01", "web-02"}),
        (["--label", "os=win"], {"web-01"}),
        (["--key", "memory:kek"], {"web-01", "web-02", "db-01"}),
        (["--key", "memory:other"], set()),
    ],
)
def test_a_list_can_be_narrowed(
    options: list[str], machines: set[str], url: str, records: list[Record], run: Run
) -> None:
    document = json.loads(run("records", "list", *options, "--records", url, "--json").stdout)
    assert {each["vm"] for each in document["records"]} == machines
    text = run("records", "list", *options, "--records", url).stdout
    assert all(machine in text for machine in machines or {"no records"})


def test_a_label_is_a_name_and_a_value(url: str, run: Run) -> None:
    for labels in (["os"], ["os=a", "os=b"]):
        options = [part for label in labels for part in ("--label", label)]
        assert run("records", "list", *options, "--records", url).exit_code == 8


def test_a_record_is_shown(url: str, records: list[Record], run: Run) -> None:
    shown = run("records", "show", records[0].id, "--records", url)
    for text in (records[0].id, str(records[0].key), "volume-key"):
        assert text in shown.stdout
    document = json.loads(run("records", "show", records[0].id, "--records", url, "--json").stdout)
    assert document["envelope"] == records[0].envelope
    missing = run("records", "show", new_record_id(), "--records", url)
    assert missing.exit_code == 3


def test_what_is_exported_is_imported(
    url: str, records: list[Record], run: Run, process: Process, tmp_path: Path
) -> None:
    exported = run("records", "export", "--records", url)
    assert exported.stdout.count("\n") == 3
    file = tmp_path / "records.jsonl"
    file.write_text(exported.stdout)
    first, second = f"sqlite:{tmp_path}/first.db", f"sqlite:{tmp_path}/second.db"
    assert run("records", "import", file, "--records", first).stdout == "imported 3 records\n"
    piped = process("records", "import", "--records", second, stdin=file.read_bytes())
    assert piped.stdout == b"imported 3 records\n"
    for copy in (first, second):
        with open_records(copy) as store:
            assert list(store.find()) == records
    again = run("records", "import", file, "--records", first)
    assert again.exit_code == 4
    assert records[0].id in again.stderr


@pytest.mark.parametrize("command", [["list"], ["export"], ["show", new_record_id()]])
def test_what_only_reads_makes_no_store(command: list[str], run: Run, tmp_path: Path) -> None:
    read = run("records", *command, "--records", f"sqlite:{tmp_path}/mistyped.db")
    assert read.exit_code == 3
    assert "there is no file" in read.stderr
    assert not (tmp_path / "mistyped.db").exists()


def test_an_altered_record_is_deleted_and_imported_again(
    url: str, records: list[Record], run: Run, tmp_path: Path
) -> None:
    lines = run("records", "export", "--records", url).stdout.splitlines()
    (line,) = (each for each in lines if records[0].id in each)
    file = tmp_path / "records.jsonl"
    file.write_text(line)
    with open_records(url) as store:
        store.replace(attrs.evolve(records[0], vm="another"))
    unsure = run("records", "delete", records[0].id, "--records", url)
    assert unsure.exit_code == 8
    assert f"--confirm {records[0].id}" in unsure.stderr
    other = ("--confirm", records[1].id)
    assert run("records", "delete", records[0].id, *other, "--records", url).exit_code == 8
    sure = ("--confirm", records[0].id)
    assert run("records", "delete", records[0].id, *sure, "--records", url).exit_code == 0
    assert run("records", "delete", records[0].id, *sure, "--records", url).exit_code == 3
    assert run("records", "import", file, "--records", url).exit_code == 0
    with open_records(url) as store:
        assert list(store.find()) == records


def test_promise_8_the_record_of_a_kek_is_deleted_only_once_it_was_retired(
    url: str, run: Run
) -> None:
    with (
        keyhier.open("memory:") as vault,
        open_records(url) as store,
        keyhier.Hierarchy(vault, store, policy=Policy(cache=CacheLimits(age=0.2))) as hierarchy,
        keyhier.Hierarchy(vault, store) as another,
    ):
        vault.create_key("root", "AES-256")
        kek = hierarchy.create_kek("team", under="root").record
        assert kek.names is not None
        record = hierarchy.protect(Volume("web-01", "C:"), b"a disk key", under="team")

        def delete(record_id: str) -> Result:
            return run("records", "delete", record_id, "--confirm", record_id, "--records", url)

        needed = delete(kek.id)
        assert needed.exit_code == 9
        assert "1 envelope of other records" in needed.stderr
        assert delete(record.id).exit_code == 0
        # Whoever has it open could wrap under it still.
        unretired = delete(kek.id)
        assert unretired.exit_code == 9
        assert f"`keyhier retire {kek.names}`" in unretired.stderr
        under = another.protect(Volume("web-02", "C:"), b"a disk key", under=kek.names)
        with hierarchy.recover(Volume("web-02", "C:")) as secret:
            assert secret == b"a disk key"
        assert delete(under.id).exit_code == 0

        hierarchy.jobs.finalize(hierarchy.rotate("team").job.id)
        # A state alone is what anybody could have written.
        store.replace(attrs.evolve(store.get(kek.id), state=RecordState.RETIRED))
        assert delete(kek.id).exit_code == 9
        assert hierarchy.retire(kek.names, wait=True).disabled
        assert delete(kek.id).exit_code == 0
        # It has the KEK in its cache still.
        with pytest.raises(keyhier.InvalidStateError, match="is disabled, and no record gets"):
            another.protect(Volume("web-03", "C:"), b"a disk key", under=kek.names)


def test_a_broken_line_imports_nothing_and_is_told_by_its_number(
    url: str, records: list[Record], run: Run, tmp_path: Path
) -> None:
    lines = run("records", "export", "--records", url).stdout.splitlines()
    file = tmp_path / "records.jsonl"
    file.write_text("\n".join([lines[0], lines[1], lines[2][:-9]]))
    other = f"sqlite:{tmp_path}/other.db"
    failed = run("records", "import", file, "--records", other)
    assert failed.exit_code == 8
    assert "line 3 is no record" in failed.stderr
    with open_records(other) as store:
        assert store.count() == 0


def test_a_file_that_cannot_be_read_is_told(url: str, run: Run, tmp_path: Path) -> None:
    assert run("records", "import", tmp_path / "none", "--records", url).exit_code == 3
    assert run("records", "import", tmp_path, "--records", url).exit_code == 8


def test_a_store_is_named_by_a_variable_or_a_profile(
    url: str, records: list[Record], run: Run, configuration: Path
) -> None:
    nothing = run("records", "list")
    assert nothing.exit_code == 8
    assert "KEYHIER_RECORDS" in nothing.stderr
    assert records[0].id in run("records", "list", env={"KEYHIER_RECORDS": url}).stdout
    assert records[0].id in run("--records", url, "records", "list").stdout
    configuration.write_text(
        f'default = "lab"\n[profiles.lab]\nvault = "memory:"\nrecords = "{url}"\n'
        '[profiles.bare]\nvault = "memory:"\n'
    )
    configuration.chmod(0o600)
    assert records[0].id in run("records", "list").stdout
    assert records[0].id in run("records", "list", "--profile", "lab").stdout
    bare = run("records", "list", "--profile", "bare")
    assert bare.exit_code == 3
    assert "names no store of records" in bare.stderr
    configuration.write_text('[profiles.lab]\nvault = "memory:"\nrecords = 7\n')
    assert run("records", "list", "--profile", "lab").exit_code == 8


def test_promise_7_a_password_in_a_url_is_refused_and_not_shown(run: Run) -> None:
    refused = run("records", "list", "--records", "postgresql://me:hunter2@host/db")
    assert refused.exit_code == 8
    assert "hunter2" not in refused.output
