"""`keyhier key` on a memory vault in a file and on a token."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from typer.testing import Result

from keyhier.testing.softhsm import SoftHsmToken
from tests.cli.conftest import Run, VaultFile, on_a_terminal


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    assert not result.stderr
    return json.loads(result.stdout)


def test_a_key_is_created_listed_and_shown(run: Run, vault_file: VaultFile) -> None:
    created = run("key", "create", "mine", "--spec", "AES-256", "--vault", vault_file.uri)
    assert created.exit_code == 0, created.stderr
    assert "made memory:mine/" in created.stdout
    with vault_file.open() as vault:
        key = vault.key("mine")
    listed = run("key", "list", "--vault", vault_file.uri).stdout
    assert key.version in listed
    assert "AES-256" in listed
    assert "A256KW" in listed
    shown = run("key", "show", "mine", "--vault", vault_file.uri).stdout
    assert str(key.id) in shown


def test_the_documents_say_what_the_vault_says(run: Run, vault_file: VaultFile) -> None:
    shown = document(run("key", "show", "kek", "--vault", vault_file.uri, "--json"))
    listed = document(run("key", "list", "--vault", vault_file.uri, "--json"))
    with vault_file.open() as vault:
        key = vault.key("kek")
        assert shown["id"] == str(key.id)
        assert shown["algorithms"] == list(key.algorithms)
        assert shown["thumbprint"] == key.thumbprint
    assert shown["default_algorithm"] == "RSA-OAEP-256"
    assert shown["default_reason"] is None
    assert [each["version"] for each in shown.pop("versions")] == [shown["version"]]
    assert listed == {"keys": [shown]}


def test_an_aes_key_is_for_the_algorithm_that_was_asked_for(
    run: Run, vault_file: VaultFile
) -> None:
    asked = ("key", "create", "a", "--spec", "AES-256", "--algorithm", "A256GCMKW", "--extractable")
    created = document(run(*asked, "--vault", vault_file.uri, "--json"))
    assert created["algorithms"] == ["A256GCMKW"]
    assert created["public_key"] is None


def test_the_public_half_is_shown_as_pem(run: Run, vault_file: VaultFile) -> None:
    result = run("key", "show", "kek", "--public-key", "--vault", vault_file.uri)
    public_key = load_pem_public_key(result.stdout.encode())
    assert isinstance(public_key, RSAPublicKey)
    with vault_file.open() as vault:
        assert public_key == vault.key("kek").public_key


def test_an_aes_key_has_no_public_half_to_show(run: Run, vault_file: VaultFile) -> None:
    run("key", "create", "a", "--spec", "AES-128", "--vault", vault_file.uri)
    result = run("key", "show", "a", "--public-key", "--vault", vault_file.uri)
    assert result.exit_code == 10
    assert not result.stdout


def test_a_rotated_key_has_two_versions(run: Run, vault_file: VaultFile) -> None:
    rotated = document(run("key", "rotate", "kek", "--vault", vault_file.uri, "--json"))
    every = document(run("key", "list", "--all-versions", "--vault", vault_file.uri, "--json"))[
        "keys"
    ]
    assert len(every) == 2
    assert every[-1] == rotated
    older = every[0]["version"]
    shown = document(
        run("key", "show", "kek", "--version", older, "--vault", vault_file.uri, "--json")
    )
    assert shown["version"] == older
    assert len(shown["versions"]) == 2


def test_one_version_is_disabled_and_enabled(run: Run, vault_file: VaultFile) -> None:
    with vault_file.open() as vault:
        older = vault.key("kek").version
        newer = vault.key("kek").rotate().version
    disabled = run("key", "disable", "kek", "--version", older, "--vault", vault_file.uri)
    assert disabled.exit_code == 0
    assert f"disabled memory:kek/{older}" in disabled.stdout
    with vault_file.open() as vault:
        assert not vault.key("kek", older).enabled
        assert vault.key("kek", newer).enabled
    listed = run("key", "list", "--all-versions", "--vault", vault_file.uri).stdout
    assert "disabled" in listed
    assert run("key", "enable", "kek", "--version", older, "--vault", vault_file.uri).exit_code == 0
    with vault_file.open() as vault:
        assert vault.key("kek", older).enabled


@pytest.mark.parametrize("confirm", [[], ["--confirm", "other"], ["--confirm", ""]])
def test_a_key_is_not_deleted_without_its_name_again(
    run: Run, vault_file: VaultFile, confirm: list[str]
) -> None:
    before = vault_file.path.read_bytes()
    result = run("key", "delete", "kek", *confirm, "--vault", vault_file.uri)
    assert result.exit_code == 8
    assert vault_file.path.read_bytes() == before


def test_a_key_is_deleted_when_its_name_is_given_again(run: Run, vault_file: VaultFile) -> None:
    told = document(
        run("key", "delete", "kek", "--confirm", "kek", "--vault", vault_file.uri, "--json")
    )
    assert told == {"deleted": "kek", "recoverable": True}
    with vault_file.open() as vault:
        assert vault.deleted() == ["kek"]
    assert run("key", "list", "--vault", vault_file.uri).stdout == "no keys\n"


def test_a_deleted_key_is_listed_and_recovered(run: Run, vault_file: VaultFile) -> None:
    listed = ("key", "list", "--deleted", "--vault", vault_file.uri)
    assert run(*listed).stdout == "no deleted keys\n"
    with vault_file.open() as vault:
        key = vault.key("kek")
        version = key.version
        key.delete(confirm="kek")
    assert run(*listed).stdout == "kek\n"
    assert document(run(*listed, "--json")) == {"deleted": ["kek"]}
    recovered = run("key", "recover", "kek", "--vault", vault_file.uri)
    assert recovered.stdout == f"recovered memory:kek/{version}\n"
    with vault_file.open() as vault:
        assert vault.key("kek").version == version


@pytest.mark.parametrize("confirm", [[], ["--confirm", "other"], ["--confirm", ""]])
def test_a_deleted_key_is_not_purged_without_its_name_again(
    run: Run, vault_file: VaultFile, confirm: list[str]
) -> None:
    with vault_file.open() as vault:
        vault.key("kek").delete(confirm="kek")
    before = vault_file.path.read_bytes()
    assert run("key", "purge", "kek", *confirm, "--vault", vault_file.uri).exit_code == 8
    assert vault_file.path.read_bytes() == before


def test_a_deleted_key_is_purged_when_its_name_is_given_again(
    run: Run, vault_file: VaultFile
) -> None:
    with vault_file.open() as vault:
        vault.key("kek").delete(confirm="kek")
    asked = ("key", "purge", "kek", "--confirm", "kek", "--vault", vault_file.uri)
    assert document(run(*asked, "--json")) == {"purged": "kek"}
    with vault_file.open() as vault:
        assert vault.deleted() == []
    gone = run(*asked)
    assert gone.exit_code == 3
    assert "`keyhier key list --deleted` shows what there is" in gone.stderr


@pytest.mark.parametrize(
    "asked",
    [["list", "--deleted"], ["recover", "kek"], ["purge", "kek", "--confirm", "kek"]],
)
def test_a_token_has_no_soft_delete(
    run: Run, softhsm_token: SoftHsmToken, asked: list[str]
) -> None:
    result = run("key", *asked, "--vault", softhsm_token.uri)
    assert result.exit_code == 10
    assert not result.stdout


def test_names_of_deleted_keys_and_versions_are_not_listed_together(
    run: Run, vault_file: VaultFile
) -> None:
    asked = ("key", "list", "--deleted", "--all-versions", "--vault", vault_file.uri)
    assert run(*asked).exit_code == 8


def test_on_a_narrow_terminal_the_version_is_whole(vault_file: VaultFile) -> None:
    with vault_file.open() as vault:
        version = vault.key("kek").version
    shown, code = on_a_terminal("key", "list", "--vault", vault_file.uri)
    assert code == 0
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown.decode()).splitlines()
    assert any(line.split()[:2] == ["kek", version] for line in lines)
    assert all(len(line) <= 80 for line in lines)


def test_the_options_may_stand_before_the_command(run: Run, vault_file: VaultFile) -> None:
    before = run("--vault", vault_file.uri, "--json", "key", "list")
    assert document(before) == document(run("key", "list", "--vault", vault_file.uri, "--json"))


def test_the_keys_of_a_token_are_handled_the_same_way(
    run: Run, softhsm_token: SoftHsmToken
) -> None:
    created = run("key", "create", "kek", "--spec", "RSA-2048", "--vault", softhsm_token.uri)
    assert created.exit_code == 0, created.stderr
    # SoftHSM has OAEP with SHA-1 only: the default follows it, and says so.
    assert "note: this vault cannot unwrap with RSA-OAEP-256" in created.stdout
    shown = document(run("key", "show", "kek", "--vault", softhsm_token.uri, "--json"))
    assert shown["id"].startswith(f"pkcs11:token={softhsm_token.label};object=kek;id=")
    assert shown["default_algorithm"] == "RSA-OAEP"
    assert "RSA-OAEP-256" in shown["default_reason"]
    rotated = document(run("key", "rotate", "kek", "--vault", softhsm_token.uri, "--json"))
    assert rotated["version"] != shown["version"]
    deleted = run("key", "delete", "kek", "--confirm", "kek", "--vault", softhsm_token.uri)
    assert deleted.stdout == "deleted kek\n"
    assert softhsm_token.pin not in created.output + deleted.output
