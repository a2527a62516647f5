"""Every example on the site and in the README runs and ends as the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import pages

ROOT = Path(__file__).resolve().parents[1]
# This page's examples need an envelope and a key to start from; the test of its own makes them.
OWN_TEST = ROOT / "docs" / "recover-without-keyhier.md"
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if page != OWN_TEST and any(pages.blocks(page.read_text(encoding="utf-8")))
]
NEEDS = re.compile(r"<!-- needs: ([\w -]+) -->")


def _needed_tools(page: Path) -> list[str]:
    return [
        tool for found in NEEDS.findall(page.read_text(encoding="utf-8")) for tool in found.split()
    ]


def _page(page: Path) -> object:
    marks = [pytest.mark.requires_tool(*_needed_tools(page))]
    return pytest.param(page, id=str(page.relative_to(ROOT)), marks=marks)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, no keyhier settings, no SoftHSM tokens yet."""
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n")
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KEYHIER_", "XDG_"))
    }
    return inherited | {
        "HOME": str(tmp_path),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "SOFTHSM2_CONF": str(configuration),
    }


@pytest.mark.parametrize("page", [_page(page) for page in PAGES])
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, pages.__file__, str(page)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_console_block_is_taken_apart() -> None:
    block = "$ true\nsome output\n$ keyhier \\\n> show\n$ echo $?\n4\n"
    assert pages.commands(block) == [
        pages.Command("true"),
        pages.Command("keyhier \\\nshow", exit_code=4),
    ]


def test_a_block_that_is_not_run_says_why() -> None:
    page = "```python\n1\n```\n<!-- not run: needs an account -->\n```python\n2\n```\n"
    assert [block.code for block in pages.blocks(page)] == ["1\n"]


@pytest.mark.parametrize("example", ["```python\nimport keyhier\n```\n", "```console\n$ false\n```\n"])
def test_a_page_that_does_not_hold_fails(example: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(example)
    done = subprocess.run(
        [sys.executable, pages.__file__, str(page), "keyhier"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode != 0
