"""The commands on a hierarchy: protect, recover, set, tree, census, retire, records verify."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from keyhier import LinuxPassphrase, SecretBytes, Vault
from keyhier.cli.config import Configuration
from keyhier.cli.hierarchy_settings import HierarchySettings
from keyhier.errors import AccessDeniedError, InvalidInputError
from keyhier.hierarchy.context import context_for
from keyhier.identifiers import KeyId
from keyhier.records import Record, new_record_id, open_records
from tests.cli.conftest import Run, VaultFile

SECRET = b"what opens the disk of one machine"


@attrs.frozen
class Place:
    """Where a hierarchy is: its vault and records are named by the environment."""

    vault: VaultFile
    url: str
    folder: Path

    @property
    def secret(self) -> Path:
        return self.folder / "secret"


@pytest.fixture
def place(vault_file: VaultFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    url = f"sqlite:{tmp_path}/records.db"
    monkeypatch.setenv("KEYHIER_VAULT", vault_file.uri)
    monkeypatch.setenv("KEYHIER_RECORDS", url)
    (tmp_path / "secret").write_bytes(SECRET)
    return Place(vault_file, url, tmp_path)


def protect(run: Run, place: Place, vm: str, *options: object) -> str:
    done = run("protect", place.secret, "--vm", vm, "--volume", "C:", *options, "--json")
    assert done.exit_code == 0, done.stderr
    return str(json.loads(done.stdout)["record"])


def test_what_is_protected_is_recovered(run: Run, place: Place) -> None:
    record = protect(run, place, "web-01", "--under", "kek", "--label", "os=linux")
    for number, wanted in enumerate((["--vm", "web-01", "--volume", "C:"], ["--record", record])):
        out = place.folder / f"out-{number}"
        assert run("recover", *wanted, "--out", out).exit_code == 0
        assert out.read_bytes() == SECRET
    again = run("protect", place.secret, "--vm", "web-01", "--volume", "C:", "--under", "kek")
    assert again.exit_code == 4
    assert protect(run, place, "web-01", "--under", "kek", "--replace") != record
    listed = json.loads(run("records", "list", "--label", "os=linux", "--json").stdout)
    assert [each["id"] for each in listed["records"]] == [record]


def test_what_lies_under_another_vault_is_recovered_with_it(
    run: Run, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    protect(run, place, "web-01", "--under", "kek")
    # The vault's file was restored elsewhere, and a new one took its place.
    moved = VaultFile(place.folder / "moved", place.vault.passphrase)
    place.vault.path.rename(moved.path)
    place.vault.open().close()
    asked = ("recover", "--vm", "web-01", "--volume", "C:", "--out", place.folder / "out")
    gone = run(*asked)
    assert (gone.exit_code, "--also-vault" in gone.stderr) == (3, True)
    assert run(*asked, "--also-vault", moved.uri).exit_code == 0
    assert (place.folder / "out").read_bytes() == SECRET
    assert run("tree", "--also-vault", moved.uri).stdout.count("in use") == 1


def test_what_lies_under_a_key_that_moved_is_recovered_by_its_alias(
    run: Run, place: Place, softhsm_vault: Vault
) -> None:
    with place.vault.open() as vault:
        vault.create_key("other", "AES-256")
        # The same key, under the id that it has in a token by now.
        material = SecretBytes.random(32)
        now = vault.import_key("now", material).id
        old = softhsm_vault.import_key("old", material).id
    record = Record.of(
        softhsm_vault.key("old").wrap(SECRET, context=context_for(name := new_record_id())),
        vm="web-01",
        volume="C:",
    )
    assert record.id == name
    with open_records(place.url) as store:
        store.add(record)
    asked = ("recover", "--record", record.id, "--out", place.folder / "out")
    gone = run(*asked)
    assert gone.exit_code == 3
    assert "--also-vault" in gone.stderr
    assert "--alias OLD=NEW" in gone.stderr
    assert "vault not open" in run("tree").stdout
    for bad in ("x", f"{old}", f"{old}=", f"={now}", "a=b"):
        assert run(*asked, "--alias", bad).exit_code == 8
    done = run(*asked, "--alias", f"{old}={now}")
    assert done.exit_code == 0, done.stderr
    assert (place.folder / "out").read_bytes() == SECRET


def test_a_key_file_of_a_known_kind_says_so(run: Run, place: Place) -> None:
    with LinuxPassphrase.generate() as made, made.to_secret() as secret:
        place.secret.write_bytes(secret.reveal())
    record = protect(run, place, "web-01", "--under", "kek")
    with open_records(place.url) as store:
        assert store.get(record).wrapped.content_type == LinuxPassphrase.content_type


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        (["protect", "SECRET", "--vm", "a", "--volume", "b"], 8),
        (["protect", "SECRET", "--vm", "a", "--volume", "b", "--under", "other"], 3),
        (["protect", "SECRET", "--vm", "a", "--volume", "b", "--under", "kek", "--label", "x"], 8),
        (["protect", "SECRET", "--vm", "a", "--volume", "b", "--set", "none"], 3),
        (["recover", "--vm", "a", "--out", "OUT"], 8),
        (["recover", "--vm", "a", "--record", "b", "--out", "OUT"], 8),
        (["census", "other"], 3),
        (["retire", "kek", "--version", "0"], 3),
        (["retire", "kek", "--delete", "kek", "--wait"], 8),
        (["set", "show", "none"], 3),
        (["set", "create", "a b", "--key", "kek"], 8),
        (["set", "import", "SECRET"], 8),
        (["create-kek", "a b", "--under", "kek"], 8),
    ],
)
def test_what_cannot_be_done_has_its_exit_code(
    command: list[str], exit_code: int, run: Run, place: Place
) -> None:
    open_records(place.url).close()
    named = {"SECRET": str(place.secret), "OUT": str(place.folder / "out")}
    done = run(*(named.get(word, word) for word in command))
    assert done.exit_code == exit_code, done.stderr


def test_a_set_is_made_observed_and_left(run: Run, place: Place) -> None:
    made = run("set", "create", "web", "--key", "kek")
    assert made.exit_code == 0, made.stderr
    protect(run, place, "web-01", "--set", "web")
    protect(run, place, "web-02", "--under", "kek")
    volume = ("--vm", "web-02", "--volume", "C:")
    assert run("set", "join", "web", *volume).exit_code == 0
    assert run("set", "leave", *volume).exit_code == 0
    assert "web" in run("set", "list").stdout
    with place.vault.open() as vault:
        second = vault.key("kek").rotate().id
    seen = run("set", "observe", "web")
    assert (seen.exit_code, str(second) in seen.stdout) == (0, True)
    assert "rotation" in seen.stdout
    assert "rotating away from" in run("set", "show", "web").stdout
    pinned = json.loads(run("set", "refer", "web", "--key", "kek", "--pin", "--json").stdout)
    assert (pinned["key"], pinned["follows"]) == (str(second), False)
    assert run("set", "delete", "web").exit_code == 9
    # It is not one in Azure.
    assert run("set", "export", "web").exit_code == 8
    assert run("set", "refer", "web", "--key", str(second)).exit_code == 0
    with place.vault.open() as vault:
        vault.key("kek").rotate().disable()
    assert run("set", "refer", "web", "--key", "kek").exit_code == 9
    assert "not rotated" in run("set", "observe", "web").stdout
    assert "not rotated" in run("set", "show", "web").stdout


def test_no_sets_and_no_records_are_said(run: Run, place: Place) -> None:
    open_records(place.url).close()
    assert run("set", "list").stdout == "no sets\n"
    assert run("tree").stdout == "no records\n"


def test_the_tree_is_drawn_in_every_format(run: Run, place: Place) -> None:
    with place.vault.open() as vault:
        vault.create_key("aes", "AES-256")
    made = json.loads(run("create-kek", "mid", "--under", "aes", "--json").stdout)
    protect(run, place, "web-01", "--under", "mid")
    for style in ("text", "mermaid", "dot", "json"):
        drawn = run("tree", "--format", style)
        assert drawn.exit_code == 0
        assert made["key"] in drawn.stdout
    document = json.loads(run("tree", "--format", "json").stdout)
    assert document == json.loads(run("tree", "--json").stdout)
    assert document["trees"][0]["children"][0]["volumes"] == {"": 1}


def test_a_census_and_a_retirement(run: Run, place: Place) -> None:
    protect(run, place, "web-01", "--under", "kek")
    with place.vault.open() as vault:
        first = vault.key("kek").version
        vault.key("kek").rotate()
    shown = run("census", "kek").stdout
    assert f"{first}: 1 record needs it\n" in shown
    assert "all of it" in shown
    assert json.loads(run("census", "kek", "--json").stdout)["versions"][0]["records"] == 1
    marked = run("retire", "kek", "--version", first)
    assert marked.exit_code == 0, marked.stderr
    assert "marked" in marked.stdout
    assert "run the same command again after" in marked.stdout
    again = json.loads(run("retire", "kek", "--version", first, "--json").stdout)
    assert (again["disabled"], again["not_before"] is None) == (False, False)
    assert "no version" in run("retire", "kek").stderr
    assert "add --version" in run("retire", "kek").stderr
    assert run("reinstate", "kek", "--version", first).exit_code == 0
    assert "the window" in run("retire", "--help").stdout.lower()


def test_a_restore_drill_names_what_does_not_open(run: Run, place: Place) -> None:
    record = protect(run, place, "web-01", "--under", "kek")
    protect(run, place, "web-02", "--under", "kek")
    assert "opened 2 of 2 records" in run("records", "verify").stdout
    assert "opened 1 of 2 records" in run("records", "verify", "--sample", "1").stdout
    with open_records(place.url) as store:
        store.replace(attrs.evolve(store.get(record), vm="db-01"))
    failed = run("records", "verify")
    assert failed.exit_code == 14
    assert record in failed.stdout


# ---------------------------------------------------------------------- keyhier.toml


@pytest.fixture
def profile(place: Place, configuration: Path) -> Path:
    """A profile with a recovery key, whose private half is in the file ``private``."""
    key = rsa.generate_private_key(65537, 2048)
    public, private = place.folder / "public.pem", place.folder / "private"
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    configuration.write_text(
        f'default = "lab"\n[profiles.lab]\nvault = "{place.vault.uri}"\n'
        f'hierarchy = "fleet"\nrecovery-key = "{public}"\nrequire-recovery = true\n'
    )
    return private


def test_pins_and_the_recovery_key_are_read_from_the_profile(
    run: Run, place: Place, profile: Path, configuration: Path
) -> None:
    made = json.loads(run("create-kek", "web", "--under", "kek", "--json").stdout)
    assert made["key"].startswith("record:fleet/web/")
    arguments = ("protect", place.secret, "--vm", "a", "--volume", "C:", "--under", made["key"])
    assert run(*arguments).exit_code == 14
    with configuration.open("a") as file:
        file.write(f'[profiles.lab.pins]\n"{made["key"]}" = "{made["thumbprint"]}"\n')
    record = protect(run, place, "a", "--under", made["key"])
    out = place.folder / "out"
    offline = ("recover-offline", "--private-key", profile, "--record", record, "--out", out)
    assert run(*offline).exit_code == 0
    assert out.read_bytes() == SECRET


def test_the_parents_are_read_from_the_profile(
    run: Run, place: Place, profile: Path, configuration: Path
) -> None:
    with place.vault.open() as vault:
        vault.create_key("root", "AES-256")
        vault.create_key("guest", "AES-256")
    made = run("create-kek", "web", "--under", "root")
    assert "among the pins of the profile" in made.stdout
    arguments = ("protect", place.secret, "--vm", "a", "--volume", "C:", "--under", "web")
    refused = run(*arguments)
    assert (refused.exit_code, "parents in keyhier.toml" in refused.stderr) == (14, True)
    with configuration.open("a") as file:
        file.write('parents = ["root"]\n')
    assert run(*arguments).exit_code == 0
    more = json.loads(run("create-kek", "more", "--under", "web", "--json").stdout)
    assert more["believed"] is True


def test_a_record_without_a_recovery_envelope_says_so(run: Run, place: Place) -> None:
    record = protect(run, place, "a", "--under", "kek")
    done = run(
        *("recover-offline", "--private-key", place.secret),
        *("--record", record, "--out", place.folder / "out"),
    )
    assert done.exit_code == 8
    assert "no recovery envelope" in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        'hierarchy = "a b"',
        "hierarchy = 1",
        "pins = 1",
        "pins = { a = 1 }",
        'pins = { a = "b" }',
        "recovery-key = 1",
        'recovery-key = "relative.pem"',
        "require-recovery = 1",
        'parents = "root"',
        "parents = 1",
        "parents = [1]",
        'parents = [""]',
        'parents = ["a:b"]',
        'parents = ["memory:root/1"]',
        'parents = ["record:keys/web"]',
    ],
)
def test_a_profile_that_is_not_understood_is_refused(line: str, configuration: Path) -> None:
    configuration.write_text(f'[profiles.lab]\nvault = "memory:"\n{line}\n')
    with pytest.raises(InvalidInputError) as caught:
        Configuration.load(None)
    if line.startswith("parents"):
        assert "profiles.lab.parents: " in caught.value.message


def test_a_recovery_key_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AccessDeniedError):
        HierarchySettings(recovery_key=tmp_path / "none").policy()
    with pytest.raises(InvalidInputError):
        HierarchySettings(require_recovery=True).policy()
    public = tmp_path / "recovery.pem"
    public.write_text("")
    public.chmod(0o620)
    with pytest.raises(AccessDeniedError, match="changed by others"):
        HierarchySettings(recovery_key=public).policy()
    key = KeyId.parse("record:keys/web/1")
    assert HierarchySettings(pins={key: "x"}).policy().pins == {key: "x"}
