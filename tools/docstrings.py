"""Shows docstrings on the site: they use a few of Sphinx's forms, and the site speaks Markdown."""

from __future__ import annotations

import re
from typing import Any, Final

import griffe

_ROLE: Final = re.compile(r":(?:py:)?(?:attr|class|data|exc|func|meth|mod|obj):`(~?)([\w.]+)`")
_LITERAL_BLOCK: Final = re.compile(r"^(.*?)::$(?=\n\n {4})", re.MULTILINE)
_TABLE: Final = re.compile(r"^=+(?:  ?=+)+\n(?:.*\n)+?=+(?:  ?=+)+$", re.MULTILINE)


def to_markdown(text: str) -> str:
    """Turn roles into code, and literal blocks and simple tables into indented code."""
    text = _TABLE.sub(_code_block, text)
    text = _LITERAL_BLOCK.sub(lambda found: f"{found[1]}:" if found[1] else "", text)
    return _ROLE.sub(lambda role: f"`{_name(role)}`", text)


def _code_block(found: re.Match[str]) -> str:
    text = _ROLE.sub(_name, found[0]).replace("``", "")
    lines = text.splitlines()[1:-1]
    return "\n" + "\n".join(f"    {line}".rstrip() for line in lines) + "\n"


def _name(found: re.Match[str]) -> str:
    short, name = found.groups()
    return str(name.rpartition(".")[2] if short else name)


class Docstrings(griffe.Extension):
    """Rewrites every docstring that mkdocstrings collects."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)
