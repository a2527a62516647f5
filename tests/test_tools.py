"""The small tools of the project itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tools.docstrings import to_markdown

TOOLS: Final = Path(__file__).resolve().parents[1] / "tools"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Use :class:`keyhier.vault.Vault`.", "Use `keyhier.vault.Vault`."),
        ("See :meth:`~keyhier.key.Key.wrap`.", "See `wrap`."),
        ("A tree.\n\n::\n\n    root\n", "A tree.\n\n\n\n    root\n"),
        ("As here::\n\n    code\n", "As here:\n\n    code\n"),
        (
            "=====  ====\n``a``  :data:`~m.A`\nb      two\n=====  ====",
            "\n    a  A\n    b      two\n",
        ),
    ],
)
def test_docstrings_are_shown_as_markdown(written: str, shown: str) -> None:
    assert to_markdown(written) == shown


def _ask_for_packages(folder: Path, *pairs: str, **environment: str) -> tuple[int, str]:
    """Run the tool where there is no apt-get."""
    for program in ("bash", "dirname", "env", "id"):
        found = shutil.which(program)
        assert found
        (folder / program).symlink_to(found)
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "REQUIRED")}
    done = subprocess.run(
        [str(TOOLS / "debian-packages"), *pairs],
        env=kept | {"PATH": str(folder)} | environment,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_nothing_is_installed_when_nothing_is_missing(tmp_path: Path) -> None:
    assert _ask_for_packages(tmp_path, "coreutils:id") == (0, "")


def test_a_missing_package_is_named_and_its_tests_are_skipped(tmp_path: Path) -> None:
    code, said = _ask_for_packages(tmp_path, "coreutils:id", "opensc:pkcs11-tool")
    assert code == 0
    assert "missing: opensc " in said
    assert "skipped" in said


@pytest.mark.parametrize("setting", ["CI", "REQUIRED"])
def test_a_missing_package_fails_where_everything_has_to_run(setting: str, tmp_path: Path) -> None:
    code, said = _ask_for_packages(tmp_path, "opensc:pkcs11-tool", **{setting: "true"})
    assert code == 1
    assert "apt-get install opensc" in said
