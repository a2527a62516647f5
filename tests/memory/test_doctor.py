"""Memory vaults examined."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import keyhier
from keyhier.algorithms import WrapAlgorithm
from keyhier.doctor import Finding, Severity


def only(findings: Iterable[Finding], check: str) -> Finding:
    (finding,) = [each for each in findings if each.check == check]
    return finding


def file_uri(folder: Path) -> str:
    passphrase = folder / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("a passphrase nobody guesses")
    return f"memory:?file={folder / 'vault'}&pin-source=file:{passphrase}"


def test_keys_that_are_gone_with_the_process_are_a_note() -> None:
    diagnosis = keyhier.examine("memory:")
    assert diagnosis.worst is Severity.NOTE
    assert only(diagnosis, "file").severity is Severity.NOTE


def test_each_algorithm_is_tried() -> None:
    tried = {
        each.check.partition(".")[2]: each.severity
        for each in keyhier.examine("memory:")
        if each.check.startswith("algorithm.")
    }
    # RSA-AES-KWP is composed of two of these.
    assert tried == dict.fromkeys(set(WrapAlgorithm) - {WrapAlgorithm.RSA_AES_KWP}, Severity.OK)


def test_keys_are_counted(tmp_path: Path) -> None:
    with keyhier.open(file_uri(tmp_path)) as vault:
        key = vault.create_key("one", "AES-256")
        key.rotate()
        key.disable()
        vault.create_key("two", "AES-256").delete(confirm="two")
        diagnosis = vault.doctor()
    assert only(diagnosis, "keys").found == "2 keys in 3 versions, 1 of them disabled"
    assert only(diagnosis, "keys.deleted").severity is Severity.NOTE
    assert only(diagnosis, "file").severity is Severity.OK
    assert diagnosis.worst is Severity.NOTE


def test_a_folder_that_others_may_write_to_is_a_warning(tmp_path: Path) -> None:
    uri = file_uri(tmp_path)
    tmp_path.chmod(0o777)
    assert only(keyhier.examine(uri), "file").severity is Severity.WARNING
    tmp_path.chmod(0o1777)
    assert only(keyhier.examine(uri), "file").severity is Severity.OK


def test_a_write_that_was_cut_short_is_a_note(tmp_path: Path) -> None:
    uri = file_uri(tmp_path)
    with keyhier.open(uri) as vault:
        (tmp_path / "vault.new").touch()
        found = [each for each in vault.doctor() if each.check == "file"]
    assert [each.severity for each in found] == [Severity.OK, Severity.NOTE]
