"""Every example on the site and in the README runs and ends as the page says."""

from __future__ import annotations

import os
import re
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


@pytest.mark.parametrize("page", [_page(page) for page in PAGES])
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    pages.run_in_child(page, folder, pages.reader_environment(tmp_path))


def test_a_console_block_is_taken_apart() -> None:
    block = "$ true\nsome output\n$ keyhier \\\n> show\n$ echo $?\n4\n"
    assert pages.commands(block) == [
        pages.Command("true"),
        pages.Command("keyhier \\\nshow", exit_code=4),
    ]


def test_a_block_that_is_not_run_says_why() -> None:
    page = "```python\n1\n```\n<!-- not run: needs an account -->\n```python\n2\n```\n"
    assert [block.code for block in pages.blocks(page)] == ["1\n"]


@pytest.mark.parametrize(
    "example", ["```python\nimport keyhier\n```\n", "```console\n$ false\n```\n"]
)
def test_a_page_that_does_not_hold_fails(example: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(example)
    with pytest.raises(AssertionError, match=r"page\.md|keyhier"):
        pages.run_in_child(page, tmp_path, dict(os.environ), forbidden=["keyhier"])
