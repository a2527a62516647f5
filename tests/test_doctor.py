"""Findings and diagnoses: values that compare, sort by how bad they are, and become JSON."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import keyhier
from keyhier.doctor import Diagnosis, Finding, Severity, guarded
from keyhier.errors import (
    AuthenticationError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    UnsupportedError,
)
from keyhier.pin_exposure import examine_pin_source
from keyhier.uri import VaultUri
from keyhier.vault import Vault
from tests.odd_vault import OddDriver

FINE = Finding("clock", Severity.OK, "it is right")
NOTED = Finding("clock", Severity.NOTE, "there is none", "get one, if you like")
WARNED = Finding("clock", Severity.WARNING, "it is off", "set it")


ROOT = Path(__file__).parents[1]


def findings_made() -> Iterator[tuple[str, ast.Call]]:
    """Yield every place of the code that makes a finding with a severity of its own."""
    for path in [*(ROOT / "backends").rglob("*.py"), *(ROOT / "keyhier").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Finding":
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_finding_that_is_not_ok_is_made_with_what_to_do_about_it() -> None:
    made = dict(findings_made())
    assert len(made) > 50
    silent = [
        place
        for place, call in made.items()
        if ast.unparse(call.args[1]) != "Severity.OK"
        and len(call.args) < 4
        and not any(each.arg == "remedy" for each in call.keywords)
    ]
    assert silent == []


def test_the_worst_finding_is_that_of_the_diagnosis() -> None:
    assert Diagnosis("memory:", ()).worst is Severity.OK
    assert Diagnosis("memory:", (FINE, WARNED, NOTED)).worst is Severity.WARNING
    ranks = [severity.rank for severity in Severity]
    assert ranks == sorted(set(ranks))


def test_a_diagnosis_becomes_json() -> None:
    document = Diagnosis("memory:", (FINE, WARNED)).as_dict()
    assert json.loads(json.dumps(document)) == {
        "vault": "memory:",
        "worst": "warning",
        "findings": [
            {
                "check": "clock",
                "severity": "ok",
                "found": "it is right",
                "remedy": None,
                "native": None,
            },
            {
                "check": "clock",
                "severity": "warning",
                "found": "it is off",
                "remedy": "set it",
                "native": None,
            },
        ],
    }


def test_an_error_ends_a_check_and_not_the_examination() -> None:
    def fails() -> Iterator[Finding]:
        yield FINE
        raise AuthenticationError("no", native="C_Login: CKR_PIN_LOCKED", remedy="unlock it")

    def fails_without_a_remedy() -> Iterator[Finding]:
        raise KeyhierError("no")

    assert list(guarded("login", fails)) == [
        FINE,
        Finding("login", Severity.ERROR, "no", "unlock it", "C_Login: CKR_PIN_LOCKED"),
    ]
    (found,) = guarded("login", fails_without_a_remedy)
    assert found.remedy


def test_a_vault_that_cannot_examine_itself_says_so() -> None:
    vault = Vault(OddDriver(), uri="memory:")
    assert not vault.capabilities.doctor
    with pytest.raises(UnsupportedError, match="examine"):
        vault.doctor()


def test_a_closed_vault_is_not_examined() -> None:
    vault = keyhier.open("memory:")
    vault.close()
    with pytest.raises(InvalidStateError):
        vault.doctor()


# ---------------------------------------------------------------------- examining by URI


def test_a_vault_is_examined_by_its_uri() -> None:
    assert [each.check for each in keyhier.examine("memory:")][:2] == ["file", "keys"]


@pytest.mark.parametrize("uri", ["nonsense", "memory:?colour=blue", "memory:?file=relative"])
def test_a_uri_that_means_no_vault_is_an_error_and_no_finding(uri: str) -> None:
    with pytest.raises(InvalidInputError):
        keyhier.examine(uri)


def test_what_keeps_a_vault_from_opening_is_a_finding(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("a passphrase")
    uri = f"memory:?file={tmp_path / 'vault'}&pin-source=file:{passphrase}"
    keyhier.open(uri).close()
    passphrase.write_text("another")
    *_, login = keyhier.examine(uri)
    assert (login.check, login.severity) == ("login", Severity.ERROR)
    gone = f"memory:?file={tmp_path / 'gone' / 'vault'}&pin-source=file:{passphrase}"
    *_, opening = keyhier.examine(gone)
    assert (opening.check, opening.severity) == ("opening", Severity.ERROR)


def test_a_passphrase_that_is_not_there_keeps_the_vault_from_being_opened(tmp_path: Path) -> None:
    file = tmp_path / "vault"
    diagnosis = keyhier.examine(f"memory:?file={file}&pin-source=file:{tmp_path / 'none'}")
    assert [each.check for each in diagnosis] == ["pin-source"]
    assert diagnosis.worst is Severity.ERROR
    assert not file.exists()


def test_a_callback_takes_the_place_of_the_pin_source(tmp_path: Path) -> None:
    uri = f"memory:?file={tmp_path / 'vault'}&pin-source=file:{tmp_path / 'none'}"
    diagnosis = keyhier.examine(uri, pin=lambda _: "a passphrase")
    assert "keys" in [each.check for each in diagnosis]


# ---------------------------------------------------------------------- where a PIN comes from


def pin_source(reference: str) -> list[Finding]:
    return list(examine_pin_source(VaultUri.parse(f"memory:?pin-source={reference}")))


def test_a_file_for_its_owner_alone_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.touch(mode=0o600)
    (finding,) = pin_source(f"file:{file}")
    assert finding.severity is Severity.OK


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
def test_a_file_that_others_may_read_or_change_is_a_warning(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "pin"
    file.touch()
    file.chmod(mode)
    (finding,) = pin_source(f"file:{file}")
    assert finding.severity is Severity.WARNING
    assert f"{mode:04o}" in finding.found
    assert finding.remedy == f"chmod 600 {file}"


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (finding,) = pin_source(f"file:{tmp_path / 'none'}")
    assert finding.severity is Severity.ERROR


def test_a_variable_is_a_note_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_PIN", "very secret")
    (finding,) = pin_source("env:THE_PIN")
    assert finding.severity is Severity.NOTE
    assert "THE_PIN" in finding.found
    assert "very secret" not in str(finding)


def test_a_prompt_shows_the_pin_to_nobody() -> None:
    assert pin_source("prompt:") == []
