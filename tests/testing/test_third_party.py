"""A backend of somebody else's, installed beside keyhier, is held to the same contract."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOUND = """
import attrs

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import OpenOptions
from keyhier.errors import UnsupportedError
from keyhier.uri import VaultUri
from keyhier_memory import backend as memory


class Sound:
    scheme, vault = "memory", ""

    def __init__(self):
        self._inner = memory.open(VaultUri.parse("memory:"), OpenOptions())
        # A few kinds of AES keys, which are deleted for ever, and nothing else.
        self.algorithms = frozenset(map(WrapAlgorithm, ("A128KW", "A256GCM", "A256GCMKW")))
        self.key_specs = frozenset(map(KeySpec, ("AES-128", "AES-256")))
        self.get_key = self._inner.get_key
        self.list_keys = self._inner.list_keys
        self.list_versions = self._inner.list_versions
        self.wrap = self._inner.wrap
        self.unwrap = self._inner.unwrap
        self.set_enabled = self._inner.set_enabled
        self.close = self._inner.close

    def create_key(self, request):
        if request.algorithm not in self.algorithms:
            able = ", ".join(sorted(self.algorithms))
            raise UnsupportedError(f"{request.algorithm} is not to be had here; there are {able}")
        return self._inner.create_key(request)

    def delete_key(self, key):
        self._inner.delete_key(key)
        self._inner.purge_key(key.id.name)
"""
RSA_ONLY = """

class RsaOnly:
    scheme, vault = "memory", ""

    def __init__(self):
        self._inner = memory.open(VaultUri.parse("memory:"), OpenOptions())
        # RSA keys, made or imported, that nobody can disable, rotate or delete.
        self.algorithms = frozenset([WrapAlgorithm.RSA_OAEP_256, WrapAlgorithm.RSA1_5])
        self.key_specs = frozenset([KeySpec.RSA_2048])
        self.wrap = self._inner.wrap
        self.unwrap = self._inner.unwrap
        self.close = self._inner.close

    def _told(self, key):
        able = tuple(known for known in key.algorithms if known in self.algorithms)
        return attrs.evolve(key, algorithms=able)

    def get_key(self, name, version=None):
        return self._told(self._inner.get_key(name, version))

    def list_keys(self):
        return map(self._told, self._inner.list_keys())

    def list_versions(self, name):
        return [self._told(key) for key in self._inner.list_versions(name)]

    def create_key(self, request):
        return self._told(self._inner.create_key(request))

    def import_key(self, request):
        if request.spec not in self.key_specs:
            raise UnsupportedError(f"{request.spec} is not to be had here")
        return self._told(self._inner.import_key(request))
"""
BROKEN = """

class Broken(Sound):
    def __init__(self):
        super().__init__()
        self.unwrap = self._unwrap_although_disabled
        self.close = lambda: None

    def _unwrap_although_disabled(self, key, *arguments):
        self._inner.set_enabled(key, enabled=True)
        return self._inner.unwrap(key, *arguments)
"""
BACKEND = """

class Backend:
    description = "a third party's"
    uri_forms = ("thirdparty:",)

    def unavailable(self):
        return None

    def open(self, uri, options):
        uri.only()
        return DRIVER()


backend = Backend()
"""


def _install(folder: Path, driver: str) -> None:
    """Put the backend where an installed one would lie."""
    code = f"{SOUND}{RSA_ONLY}{BROKEN}{BACKEND}".replace("DRIVER", driver)
    (folder / "thirdparty.py").write_text(code)
    metadata = folder / "thirdparty-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: thirdparty\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[keyhier.backends]\nthirdparty = thirdparty:backend\n"
    )


def _hold(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfxX", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


CONTRACT = ("--pyargs", "keyhier.testing.contract")
OURS = (*CONTRACT, "--keyhier-vault", "thirdparty:")
STALE = """
[[deviation]]
test = "test_a_closed_driver_refuses_every_use"
raises = "AssertionError"
reason = "it stays open"

[[deviation]]
test = "test_closing_twice_is_harmless"
raises = "AssertionError"
reason = "it was so once"
"""


@pytest.mark.parametrize("driver", ["Sound", "RsaOnly"])
def test_a_sound_backend_passes_whatever_it_lacks(tmp_path: Path, driver: str) -> None:
    _install(tmp_path, driver)
    held = _hold(tmp_path, *OURS)
    assert held.returncode == pytest.ExitCode.OK, held.stdout
    assert re.search(r"^\d+ passed in ", held.stdout, re.MULTILINE)


def test_a_broken_backend_fails_by_name(tmp_path: Path) -> None:
    _install(tmp_path, "Broken")
    held = _hold(tmp_path, *OURS, "-k", "disabled or closed")
    assert held.returncode == pytest.ExitCode.TESTS_FAILED, held.stdout
    for test in (
        "test_a_disabled_key_neither_wraps_nor_unwraps[AES]",
        "test_a_disabled_key_does_nothing_raw_either[A256GCM]",
        "test_a_closed_driver_refuses_every_use",
    ):
        assert re.search(rf"^FAILED \S*TestContract::{re.escape(test)}", held.stdout, re.MULTILINE)


def test_a_declared_deviation_passes_and_a_stale_one_fails(tmp_path: Path) -> None:
    _install(tmp_path, "Broken")
    declared = tmp_path / "deviations.toml"
    declared.write_text(STALE)
    held = _hold(
        tmp_path, *OURS, "--keyhier-deviations", str(declared), "-k", "closing or driver_r"
    )
    assert held.returncode == pytest.ExitCode.TESTS_FAILED, held.stdout
    assert "XFAIL" in held.stdout
    assert "it stays open" in held.stdout
    assert "[XPASS(strict)] AssertionError: it was so once" in held.stdout


@pytest.mark.parametrize(
    ("deviations", "said"),
    [
        ("[[deviation]]\ntest='test_gone'\nraises='UnwrapError'\nreason='r'\n", "'test_gone'"),
        ("[[deviation]]\ntest='test_gone'\nraises='OSError'\nreason='r'\n", "not 'OSError'"),
        ("no TOML", "cannot be read as TOML"),
    ],
)
def test_a_deviation_that_means_nothing_stops_the_run(
    tmp_path: Path, deviations: str, said: str
) -> None:
    declared = tmp_path / "deviations.toml"
    declared.write_text(deviations)
    held = _hold(
        tmp_path, *CONTRACT, "--keyhier-vault", "memory:", "--keyhier-deviations", str(declared)
    )
    assert held.returncode == pytest.ExitCode.INTERRUPTED, held.stdout
    assert said in held.stdout
    assert "Traceback" not in held.stdout


def test_without_a_vault_the_contract_does_not_pass(tmp_path: Path) -> None:
    held = _hold(tmp_path, *CONTRACT)
    assert held.returncode == pytest.ExitCode.INTERRUPTED, held.stdout
    assert "give --keyhier-vault URI" in held.stdout


def test_six_lines_hold_a_backend_to_the_contract(tmp_path: Path) -> None:
    _install(tmp_path, "Broken")
    (tmp_path / "test_thirdparty.py").write_text(
        """
import pytest
from keyhier.testing.contract import Contract, Deviation


class TestThirdParty(Contract):
    deviations = [
        Deviation("test_a_closed_driver_refuses_every_use", "AssertionError", "it stays open"),
    ]

    @pytest.fixture(scope="class")
    @classmethod
    def vault_uri(cls):
        return "thirdparty:"


class TestSomethingElse:
    def test_of_a_closed_driver(self):
        assert True
"""
    )
    held = _hold(tmp_path, "test_thirdparty.py", "-k", "closed_driver or names_its_exact_version")
    assert held.returncode == pytest.ExitCode.OK, held.stdout
    assert "3 passed" in held.stdout
    assert "1 xfailed" in held.stdout
