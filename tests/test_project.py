"""The project around the code: what is imported when, the wheel, what the pages say."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

import pytest

from keyhier import errors
from keyhier.cli.failure import EXIT_CODES

ROOT: Final = Path(__file__).resolve().parents[1]
CONSTRAINTS: Final = ROOT / "constraints.txt"
TOOLKITS: Final = {
    "alembic",
    "azure",
    "click",
    "pkcs11",
    "platformdirs",
    "psycopg",
    "pytest",
    "rich",
    "sqlalchemy",
    "typer",
}
BACKEND_FILES: Final = sorted((ROOT / "backends").rglob("*.py"))

# What a stranger does first, in an environment with nothing but the core's dependencies.
ROUND_TRIP: Final = """
import keyhier
with keyhier.open("memory:") as vault:
    kek = vault.create_key("vm-kek", "RSA-3072")
    bek = keyhier.BitLockerKey.generate(random=vault)
    wrapped = keyhier.WrappedKey.parse(str(kek.wrap(bek, context={"vm": "web-01"})))
    with vault.unwrap(wrapped, context={"vm": "web-01"}) as secret:
        assert keyhier.BitLockerKey.from_bytes(secret) == bek
"""


def _imported_by(statement: str) -> set[str]:
    """Return the top-level packages that a new interpreter loads for a statement."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize(
    "module", ["keyhier", "keyhier.vault", "keyhier.volume", "keyhier.records", "keyhier_memory"]
)
def test_importing_the_core_loads_no_vendors_package_and_no_toolkit(module: str) -> None:
    imported = _imported_by(f"import {module}")
    assert module.partition(".")[0] in imported
    assert not imported & TOOLKITS


def test_importing_a_backend_does_not_load_its_vendors_package() -> None:
    imported = _imported_by("import keyhier_pkcs11")
    assert "keyhier_pkcs11" in imported
    assert not imported & TOOLKITS


def test_listing_the_backends_does_not_load_a_vendors_package() -> None:
    statement = "import keyhier.registry; keyhier.registry.registered_backends()"
    assert not _imported_by(statement) & TOOLKITS


@pytest.mark.parametrize("path", BACKEND_FILES, ids=[path.name for path in BACKEND_FILES])
def test_a_backend_imports_submodules_of_keyhier_and_not_its_front(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.module != "keyhier"
        elif isinstance(node, ast.Import):
            assert all(name.name != "keyhier" for name in node.names)


def test_the_wheel_works_in_an_environment_without_extras(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("keyhier-*.whl")
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--constraint", str(CONSTRAINTS)]
    subprocess.run([*install, str(wheel)], check=True)
    # Nothing of the checkout or of this environment may help.
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([python, "-I", "-c", ROUND_TRIP], cwd=tmp_path, env=clean, check=True)
    missing = subprocess.run(
        [python, "-I", "-c", 'import keyhier; keyhier.open("pkcs11:token=disks")'],
        cwd=tmp_path,
        env=clean,
        check=False,
        capture_output=True,
        text=True,
    )
    assert "UnsupportedError" in missing.stderr


def test_the_constraints_are_exact_versions_and_no_addresses() -> None:
    for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.]+", line), line


def test_the_page_of_errors_lists_the_whole_tree_with_its_exit_codes() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d*) ?\| ", page, re.MULTILINE)
    codes = {error.__name__: str(code) for error, code in EXIT_CODES.items()}
    assert dict(rows) == {name: codes.get(name, "") for name in errors.__all__}
