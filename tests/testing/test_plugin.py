"""The fixtures that the pytest plug-in brings, and what it does not bring."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import keyhier

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsmToken


def test_a_memory_vault_is_open_and_empty(memory_vault: keyhier.Vault) -> None:
    assert memory_vault.uri == "memory:"
    assert list(memory_vault.keys()) == []
    memory_vault.create_key("kek", "AES-256")


def test_every_test_gets_a_memory_vault_of_its_own(memory_vault: keyhier.Vault) -> None:
    # The test above makes the same key; the order of the two does not matter.
    memory_vault.create_key("kek", "AES-256")


def test_a_token_has_nothing_on_it(softhsm_token: SoftHsmToken) -> None:
    with keyhier.open(softhsm_token.uri) as vault:
        assert list(vault.keys()) == []


def test_a_vault_is_open_on_a_token_of_its_own(
    softhsm_vault: keyhier.Vault, softhsm_token: SoftHsmToken
) -> None:
    assert softhsm_vault.uri == softhsm_token.uri
    key = softhsm_vault.create_key("kek", "AES-256")
    with softhsm_vault.unwrap(key.wrap(b"secret")) as opened:
        assert opened == b"secret"


SAMPLE = """
def test_memory(memory_vault):
    assert memory_vault.create_key("kek", "AES-256").enabled

def test_token(softhsm_token):
    assert softhsm_token.uri

def test_vault(softhsm_vault):
    assert softhsm_vault.uri
"""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "test_sample.py"
    path.write_text(SAMPLE)
    return path


def _pytest(sample: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(sample)],
        cwd=sample.parent,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_softhsm_its_fixtures_skip_and_say_why(sample: Path) -> None:
    done = _pytest(sample, SOFTHSM2_MODULE="/nowhere/libsofthsm2.so")
    assert done.returncode == pytest.ExitCode.OK, done.stdout
    assert "1 passed, 2 skipped" in done.stdout
    assert "SoftHSM is not installed" in done.stdout


def test_without_softhsm_its_fixtures_fail_in_ci(sample: Path) -> None:
    done = _pytest(sample, SOFTHSM2_MODULE="/nowhere/libsofthsm2.so", CI="true")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "1 passed, 2 errors" in done.stdout
    assert "with CI=true nothing is skipped" in done.stdout


def test_without_nss_its_fixture_skips_and_says_why_and_fails_in_ci(tmp_path: Path) -> None:
    sample = tmp_path / "test_sample.py"
    sample.write_text("def test_token(nss_token):\n    assert nss_token.uri\n")
    done = _pytest(sample, NSS_MODULE="/nowhere/libsoftokn3.so")
    assert "1 skipped" in done.stdout
    assert "install libnss3" in done.stdout
    assert "1 error" in _pytest(sample, NSS_MODULE="/nowhere/libsoftokn3.so", CI="true").stdout


def test_opencryptoki_is_left_alone_unless_it_is_asked_for(tmp_path: Path) -> None:
    sample = tmp_path / "test_sample.py"
    sample.write_text("def test_token(opencryptoki_token):\n    assert opencryptoki_token.uri\n")
    done = _pytest(sample)
    assert "1 skipped" in done.stdout
    assert "ask for it with --keyhier-opencryptoki" in done.stdout


def test_loading_the_plug_in_loads_nothing_but_pytest() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules)\n"
        "import keyhier.testing.plugin\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(["keyhier", "keyhier.testing", "keyhier.testing.plugin"])
