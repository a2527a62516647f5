"""`keyhier vault doctor`: a table or JSON, and an exit code by the worst finding."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from keyhier.cli.vault import EXIT_BY_SEVERITY
from keyhier.doctor import Severity
from keyhier.testing.keyvault import KeyVault
from keyhier.testing.softhsm import SoftHsmToken
from tests.azure.conftest import uri_of
from tests.azure.environment import logged_in
from tests.cli.conftest import Process, Run, VaultFile


def test_a_sound_vault_ends_with_0(run: Run, vault_file: VaultFile) -> None:
    vault_file.passphrase.chmod(0o600)
    done = run("vault", "doctor", vault_file.uri)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "algorithm.A256KW" in done.stdout


def test_a_warning_ends_with_20_and_says_what_to_do(run: Run, vault_file: VaultFile) -> None:
    vault_file.passphrase.chmod(0o644)
    done = run("vault", "doctor", vault_file.uri, "--json")
    assert done.exit_code == 20
    document = json.loads(done.stdout)
    assert document["worst"] == "warning"
    warnings = [each for each in document["findings"] if each["severity"] == "warning"]
    assert [each["check"] for each in warnings] == ["pin-source"]
    assert warnings[0]["remedy"] == f"chmod 600 {vault_file.passphrase}"
    vault_file.passphrase.chmod(0o600)


def test_a_token_is_examined_by_option_argument_and_variable(
    run: Run, softhsm_token: SoftHsmToken
) -> None:
    by_argument = run("vault", "doctor", softhsm_token.uri, "--json")
    by_option = run("vault", "doctor", "--vault", softhsm_token.uri, "--json")
    by_variable = run("--json", "vault", "doctor", env={"KEYHIER_VAULT": softhsm_token.uri})
    documents = [json.loads(each.stdout) for each in (by_argument, by_option, by_variable)]
    checks = [[each["check"] for each in document["findings"]] for document in documents]
    assert checks[0] == checks[1] == checks[2]
    assert [each.exit_code for each in (by_argument, by_option, by_variable)] == [0, 0, 0]
    assert "threads" in checks[0]


def test_a_wrong_pin_ends_with_21_and_shows_no_pin(
    process: Process, softhsm_token: SoftHsmToken
) -> None:
    softhsm_token.pin_file.write_text("not the PIN")
    done = process("vault", "doctor", softhsm_token.uri)
    assert (done.returncode, done.stderr) == (21, b"")
    assert b"CKR_PIN_INCORRECT" in done.stdout
    assert b"not the PIN" not in done.stdout


def test_labels_of_others_rule_nothing(process: Process, softhsm: object, tmp_path: Path) -> None:
    module = tmp_path / "[red]\x1b[2J.so"
    module.write_text("no module")
    done = process("vault", "doctor", f"pkcs11:token=x?module-path={quote(str(module))}")
    assert done.returncode == 21
    assert b"\x1b" not in done.stdout
    assert rb"[red]\x1b[2J.so" in done.stdout


def test_a_uri_that_is_wrong_ends_as_everywhere(run: Run) -> None:
    done = run("vault", "doctor", "memory:?colour=blue")
    assert done.exit_code == 8
    assert not done.stdout


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_vault_that_is_named_twice_is_refused(run: Run, where: str) -> None:
    option = ("--vault", "memory:")
    before, after = (option, ()) if where == "before" else ((), option)
    done = run(*before, "vault", "doctor", "memory:", *after)
    assert done.exit_code == 8
    assert "give one" in done.stderr


def test_the_page_of_errors_says_what_the_exit_codes_mean() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
    rows = dict(
        re.findall(r"^\| (\d+) \| (.*) \|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    )
    for severity in (Severity.WARNING, Severity.ERROR):
        assert severity in rows[str(EXIT_BY_SEVERITY[severity])]


def test_a_vault_of_azure_is_examined_by_its_uri(keyvault: KeyVault, run: Run) -> None:
    with logged_in(keyvault):
        result = run("vault", "doctor", uri_of(keyvault), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["worst"] == "note"
