"""`keyhier ade plan` and `keyhier set plan`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import keyhier
from keyhier import BitLockerKey
from keyhier.plans import PlanFile
from tests.azure.conftest import uri_of
from tests.azure.environment import logged_in
from tests.cli.conftest import Run
from tests.plans.scenes import SET_ID, disk, encryption_set, extension, machine, vault

if TYPE_CHECKING:
    from keyhier.testing.keyvault import KeyVault

FACTS = ("--fact", "memory_gb=16", "--fact", "root_usage_gb=2", "--fact", "uses=nothing")


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write a document and return its path."""

    def to(name: str, content: object) -> str:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return to


@pytest.fixture
def files(write: Any) -> tuple[str, str, str]:
    return write("vm.json", machine()), write("disk.json", disk()), write("kv.json", vault())


@pytest.fixture
def kept(tmp_path: Path) -> str:
    """The URI of a vault in a file."""
    passphrase = tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("not a secret in a test")
    return f"memory:?file={tmp_path}/vault&pin-source=file:{passphrase}"


def names(uri: str) -> list[str]:
    with keyhier.open(uri) as opened:
        return [key.name for key in list(opened.keys())]


def test_a_plan_is_shown_and_written(run: Run, files: tuple[str, ...], tmp_path: Path) -> None:
    out, picture = tmp_path / "plan.json", tmp_path / "plan.mmd"
    done = run(
        *("ade", "plan", "enable-existing", *files, "--kek", "disk-kek", *FACTS),
        *("--out", out, "--picture", picture),
    )
    assert done.exit_code == 0, done.stderr
    assert "az vm encryption enable" in done.stdout
    assert "2028-09-15" in done.stdout
    assert PlanFile.parse(json.loads(out.read_text())).scenario == "enable-existing"
    assert picture.read_text().startswith("flowchart TD\n")
    again = run("ade", "plan", "enable-existing", *files, "--out", out)
    assert again.exit_code == 4


@pytest.mark.parametrize("option", ["--out", "--picture"])
def test_a_file_that_is_there_is_replaced_where_that_is_asked_for(
    option: str, run: Run, files: tuple[str, ...], tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.write_text("kept")
    plan = ("ade", "plan", "enable-existing", *files, option, there)
    refused = run(*plan)
    assert refused.exit_code == 4
    assert "--force" in refused.stderr
    assert there.read_text() == "kept"
    assert run(*plan, "--force").exit_code == 0
    assert there.read_text() != "kept"


def test_a_plan_that_could_not_be_written_is_not_applied(
    run: Run, files: tuple[str, ...], kept: str, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.write_text("kept")
    applied = ("ade", "plan", "enable-existing", *files, "--kek", "k", "--apply", "--vault", kept)
    assert run(*applied, "--out", there).exit_code == 4
    assert names(kept) == []


@pytest.mark.parametrize(
    ("option", "name", "force", "code", "remedy"),
    [
        ("--out", "folder", [], 8, "name a file"),
        ("--picture", "folder", ["--force"], 8, "name a file"),
        ("--out", "pipe", ["--force"], 8, "name a file"),
        ("--out", "none/plan", [], 3, "make the folder"),
        ("--picture", "none/plan", ["--force"], 3, "make the folder"),
        ("--out", "vm.json/plan", [], 3, "make the folder"),
        ("--out", f"{'n' * 300}/plan", [], 3, "make the folder"),
    ],
)
def test_a_plan_is_not_applied_where_there_can_be_no_such_file(
    option: str,
    name: str,
    force: list[str],
    code: int,
    remedy: str,
    run: Run,
    files: tuple[str, ...],
    kept: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    applied = ("ade", "plan", "enable-existing", *files, "--kek", "k", "--apply", "--vault", kept)
    refused = run(*applied, option, tmp_path / name, *force)
    assert (refused.exit_code, refused.stdout) == (code, "")
    assert remedy in refused.stderr
    assert names(kept) == []


def test_a_plan_is_not_applied_whose_file_has_no_name(
    run: Run, files: tuple[str, ...], kept: str
) -> None:
    applied = ("ade", "plan", "enable-existing", *files, "--kek", "k", "--apply", "--vault", kept)
    assert run(*applied, "--out", "").exit_code == 8
    assert names(kept) == []


@pytest.mark.parametrize("other", ["plan", "folder/../plan", "link/plan"])
def test_a_plan_is_not_applied_whose_file_and_picture_are_one(
    other: str, run: Run, files: tuple[str, ...], kept: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    applied = ("ade", "plan", "enable-existing", *files, "--kek", "k", "--apply", "--vault", kept)
    named = ("--out", tmp_path / "plan", "--picture", f"{tmp_path}/{other}")
    refused = run(*applied, *named, "--force")
    assert (refused.exit_code, refused.stdout) == (8, "")
    assert "two files" in refused.stderr
    assert names(kept) == []
    assert not (tmp_path / "plan").exists()


def test_what_was_applied_is_told_even_where_it_cannot_be_written(
    run: Run, files: tuple[str, ...], kept: str, tmp_path: Path
) -> None:
    applied = ("ade", "plan", "enable-existing", *files, "--kek", "k", "--apply", "--vault", kept)
    # A name that is longer than the file system takes.
    done = run(*applied, "--out", tmp_path / ("n" * 300))
    assert done.exit_code == 8
    assert "done: made" in done.stdout


@pytest.mark.parametrize("option", ["--out", "--picture"])
def test_a_plan_and_its_files_are_not_mixed_on_standard_output(
    option: str, run: Run, files: tuple[str, ...]
) -> None:
    done = run("ade", "plan", "enable-existing", *files, option, "-")
    assert (done.exit_code, done.stdout) == (8, "")
    assert "--json" in done.stderr


def test_a_plan_is_json_too(run: Run, files: tuple[str, ...]) -> None:
    done = run("ade", "plan", "enable-existing", *files, "--json")
    content = json.loads(done.stdout)
    assert content["keyhier-plan"] == 1
    assert content["worst"] == "warning"


@pytest.mark.parametrize("apply", [(), ("--apply",)])
def test_promise_10_a_plan_that_is_refused_is_shown_and_makes_no_key(
    apply: tuple[str, ...], run: Run, write: Any, files: tuple[str, ...], kept: str
) -> None:
    far = write("far.json", vault("westus"))
    done = run(
        *("ade", "plan", "enable-existing", *files[:2], far, "--kek", "disk-kek", *apply),
        *("--vault", kept),
    )
    assert done.exit_code == 17
    assert "ade-vault-region" in done.stderr
    assert "ERROR ade-vault-region" in done.stdout
    assert names(kept) == []


def test_a_plan_file_is_checked_again_by_what_is_planned(
    run: Run, write: Any, files: tuple[str, ...], tmp_path: Path
) -> None:
    far = write("far.json", vault("westus"))
    for name, place, code in (("good", files[2], 0), ("bad", far, 17)):
        out = tmp_path / f"{name}-plan.json"
        plan = ("ade", "plan", "enable-existing", *files[:2], place, "--kek", "disk-kek")
        assert run(*plan, *FACTS, "--out", out).exit_code == code
        # The file's own verdict is not believed.
        content = json.loads(out.read_text()) | {"worst": "ok", "findings": [], "placement": {}}
        out.write_text(json.dumps(content))
        checked = json.loads(run("check", "--json", out).stdout)
        errors = {each["rule"] for each in checked["violations"] if each["severity"] == "error"}
        region = {"ade-vault-region", "kek-vault-region"}
        assert errors == (region if name == "bad" else set())
        # The KEK's version is not made yet, so what is set with it is not known.
        assert "settings" in {each["rule"] for each in checked["not_checked"]}


def test_what_is_not_ready_ends_with_its_own_code(run: Run, files: tuple[str, ...]) -> None:
    done = run("ade", "plan", "update", *files)
    assert done.exit_code == 9
    assert "no settings to update; enable the encryption" in done.stderr


def test_a_refused_setting_tells_what_to_do_about_the_setting(
    run: Run, files: tuple[str, ...]
) -> None:
    options = ("--volumes", "os", "--format-all")
    done = run("ade", "plan", "enable-existing", *files, *options, "--json")
    (refused,) = (
        each for each in json.loads(done.stdout)["findings"] if each["check"] == "settings"
    )
    assert "settings" in refused["remedy"]


def test_a_disk_of_ones_own_needs_the_document_of_the_disk(
    run: Run, files: tuple[str, ...]
) -> None:
    done = run("ade", "plan", "enable-own-vhd", files[0], files[2], "--kek", "disk-kek")
    assert done.exit_code == 3
    assert "is missing; add its document, as `az … show` prints it" in done.stderr


def test_what_a_set_needs_is_told_by_its_options(run: Run, write: Any) -> None:
    paths = (write("set.json", encryption_set()), write("kv.json", vault()))
    for options in (("rotate-key",), ("attach-disk", "--key", "cmk")):
        done = run("set", "plan", *options, *paths)
        assert done.exit_code == 8
        assert "a set's key is rotated with --key" in done.stderr


def test_a_plan_is_applied(run: Run, files: tuple[str, ...], kept: str) -> None:
    command = ("ade", "plan", "enable-existing", *files, "--kek", "disk-kek", "--apply")
    done = run(*command, "--vault", kept)
    assert done.exit_code == 0, done.stderr
    assert "done: made memory:disk-kek/" in done.stdout
    assert "rehearsal" in done.stdout
    assert "The ARM resources:" in done.stdout
    assert names(kept) == ["disk-kek"]
    again = json.loads(run(*command, "--vault", kept, "--json").stdout)
    assert again["applied"]["made"] is False
    assert names(kept) == ["disk-kek"]


def test_without_a_key_no_vault_is_needed(run: Run, files: tuple[str, ...]) -> None:
    done = run("ade", "plan", "enable-existing", *files, "--apply")
    assert done.exit_code == 0, done.stderr
    assert "done:" not in done.stdout


def test_a_disk_of_ones_own_is_protected(
    run: Run, write: Any, files: tuple[str, ...], kept: str, tmp_path: Path
) -> None:
    windows = write("windows.json", machine("Windows"))
    with BitLockerKey.generate() as bek:
        path = tmp_path / bek.filename
        bek.write(tmp_path)
    done = run(
        *("ade", "plan", "enable-own-vhd", windows, *files[1:], "--kek", "disk-kek"),
        *("--apply", "--in", path, "--vault", kept),
    )
    assert done.exit_code == 0, done.stderr
    assert "done: set " in done.stdout


def test_disabling_and_dual_pass(run: Run, write: Any, files: tuple[str, ...]) -> None:
    on = write("extension.json", extension("Windows"))
    windows = write("windows.json", machine("Windows"))
    done = run("ade", "plan", "disable", windows, on, files[1], "--volumes", "all")
    assert done.exit_code == 0, done.stderr
    assert "az vm encryption disable" in done.stdout
    policies = write("policies.json", vault(enableRbacAuthorization=False))
    application = ("--application", "client")
    done = run("ade", "plan", "enable-existing", *files[:2], policies, *application)
    assert '--aad-client-secret "$aadClientSecret"' in done.stdout
    done = run(
        *("ade", "plan", "enable-existing", *files[:2], policies, *application),
        *("--thumbprint", "AB"),
    )
    assert "--aad-client-cert-thumbprint AB" in done.stdout


def test_a_set_is_planned_and_its_key_made(run: Run, files: tuple[str, ...], kept: str) -> None:
    command = ("set", "plan", "create", files[2], "--set", SET_ID, "--location", "eastus2")
    done = run(*command, "--key", "cmk", "--apply", "--vault", kept)
    assert done.exit_code == 0, done.stderr
    assert "az disk-encryption-set create" in done.stdout
    assert names(kept) == ["cmk"]
    assert run(*command).exit_code == 8


def test_a_vault_of_another_tenant_refuses_a_set(run: Run, files: tuple[str, ...]) -> None:
    made = ("set", "plan", "create", files[-1], "--location", "eastus2", "--key", "k")
    done = run(*made, "--set", SET_ID, "--tenant", "99999999-9999-9999-9999-999999999999")
    assert done.exit_code == 17
    assert "cmk-vault-tenant" in done.stderr


def test_a_set_is_kept_in_the_records_that_are_named(
    run: Run, write: Any, keyvault: KeyVault, tmp_path: Path
) -> None:
    place = write("kv.json", vault(host=keyvault.url.removeprefix("https://").rstrip("/")))
    command = ("set", "plan", "create", place, "--set", SET_ID, "--location", "eastus2")
    options = ("--key", "cmk", "--apply", "--vault", uri_of(keyvault))
    records = ("--records", f"sqlite:{tmp_path}/records.db")
    with logged_in(keyvault):
        assert "in the records" not in run(*command, *options).stdout
        done = run(*command, *options, *records)
        assert done.exit_code == 0, done.stderr
        assert "done: kept the encryption set des in the records" in done.stdout
        applied = json.loads(run(*command, *options, *records, "--json").stdout)["applied"]
        assert (applied["made"], applied["kept"]) == (False, True)
        shown = json.loads(run("set", "show", "des", *options[3:], *records, "--json").stdout)
        assert shown["active"] == applied["key"]


def test_disks_are_put_under_a_set_and_its_key_is_rotated(
    run: Run, write: Any, files: tuple[str, ...], kept: str
) -> None:
    des = write("des.json", encryption_set())
    done = run("set", "plan", "attach-disk", *files, des, "--apply")
    assert done.exit_code == 0, done.stderr
    assert "az disk update" in done.stdout
    assert run("key", "create", "cmk", "--spec", "RSA-2048", "--vault", kept).exit_code == 0
    done = run("set", "plan", "rotate-key", files[2], des, "--key", "cmk", "--vault", kept)
    assert done.exit_code == 0, done.stderr
    assert "keyhier key rotate cmk" in done.stdout


def test_rules_are_named_or_ones_own(run: Run, write: Any, files: tuple[str, ...]) -> None:
    far = write("far.json", vault("eastus2"))
    content = json.loads(Path(far).read_text())
    content["id"] = content["id"].replace("1111-1111", "2222-2222")
    other = write("other.json", content)
    plan = ("ade", "plan", "enable-existing", *files[:2], other)
    assert run(*plan).exit_code == 17
    own = write(
        "own.toml",
        'title = "Ours"\nextends = "strict"\nomits = ["ade-vault-subscription"]\n',
    )
    assert run(*plan, "--rules", own).exit_code == 0
    assert run(*plan, "--rules", "lax").exit_code == 3
    old = run("ade", "plan", "enable-existing", *files, "--eligibility", "2018")
    assert "eligibility" in old.stdout
    assert run("ade", "plan", "update", *files, "--eligibility", "x").exit_code == 3
    assert run("ade", "plan", "update", *files, "--eligibility", own).exit_code == 8


@pytest.mark.parametrize(
    "options",
    [
        ("--kek-in", "contoso-kv"),
        ("--algorithm", "RSA-OAEP"),
        ("--thumbprint", "AB"),
        ("--in", "key.BEK"),
        ("--kek", "memory:kek/1"),
        ("--kek", "https://other.vault.azure.net/keys/kek/" + "0" * 32, "--kek-in", "contoso-kv"),
        ("--kek", "kek", "--spec", "AES-256"),
        ("--kek", "kek", "--algorithm", "A256KW"),
        ("--fact", "weather=fine"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: tuple[str, ...], run: Run, files: tuple[str, ...]
) -> None:
    done = run("ade", "plan", "enable-existing", *files, *options)
    assert done.exit_code in {3, 8}, done.stderr
    assert done.stdout == ""


def test_a_kek_is_named_by_its_id(run: Run, files: tuple[str, ...]) -> None:
    kek = f"https://contoso-kv.vault.azure.net/keys/disk-kek/{'0' * 32}"
    done = run("ade", "plan", "enable-existing", *files, "--kek", kek, "--json")
    steps = {each["name"]: each for each in json.loads(done.stdout)["steps"]}
    assert kek in steps["extension"]["command"]
    assert steps["kek"]["command"] is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "a.json:1:2: this is no JSON"),
        ('{"type": "a",\n "type": "b"}', "a.json:2:2: the member 'type' stands twice"),
        ("[{},\n 5]", "a.json:1:2#/0: a resource has a type"),
        ('[{"type": "x"},\n 5]', "a.json:2:2#/1: a resource's document is a JSON object"),
        (
            '{"type": "Microsoft.Compute/disks",\n "id": "/subscriptions/x"}',
            "a.json:2:8#/id: ",
        ),
        (
            '[\n{"type": "Microsoft.Compute/disks", "sku": {"name": 7}}]',
            "a.json:2:53#/0/sku/name: text belongs here",
        ),
        ('{"type": 1}', "a.json:1:10#/type: "),
        ("{}", "a.json:1:1: a resource has a type"),
        ("[" * 100_000, "a.json:1:201: the document is nested too deeply"),
        ("\xff", "a.json: the file is no"),
    ],
)
@pytest.mark.parametrize("plan", [("ade", "plan", "disable"), ("set", "plan", "rotate-key")])
def test_what_is_wrong_with_a_document_is_told_with_its_place(
    plan: tuple[str, ...], text: str, told: str, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    result = run(*plan, path)
    assert result.exit_code == 8
    assert f"{tmp_path}/{told}" in result.stderr
    assert "Traceback" not in result.output
