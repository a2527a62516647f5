"""A plan as a picture: a flow chart in Mermaid's language (https://mermaid.js.org)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Final

from keyhier.plans.plan import Doer, Phase, Plan

__all__ = ["as_mermaid"]

_ESCAPES: Final = str.maketrans(
    {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;", "\\": "#92;"}
)


def as_mermaid(plan: Plan) -> str:
    """Return the picture: a box for each step, those of a phase in a frame, undoing aside."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield "flowchart TD"
    named = [(f"s{number}", step) for number, step in enumerate(plan.steps, 1)]
    for at, (phase, steps) in enumerate(groupby(named, key=lambda each: each[1].phase)):
        yield f'  subgraph p{at}["{phase}"]'
        for name, step in steps:
            kind = f":::{step.doer}" if step.doer is not Doer.YOU else ""
            yield f'    {name}["{_shown(step.text)}"]{kind}'
        yield "  end"
    onward = [name for name, step in named if step.phase is not Phase.UNDO]
    for one, other in pairwise(onward):
        yield f"  {one} --> {other}"
    for name, step in named:
        if step.phase is Phase.UNDO:
            yield f"  {onward[-1]} -.-> {name}"
    refused = _refused(plan)
    if refused:
        yield f'  refused["{_shown(refused)}"]:::error'
        yield f"  {onward[0]} --x refused"
    yield "  classDef keyhier fill:#dfefff,stroke:#2060a0,color:#000"
    yield "  classDef azure fill:#eeeeee,stroke:#808080,color:#000"
    yield "  classDef error fill:#ffdddd,stroke:#c00000,color:#000"


def _refused(plan: Plan) -> str:
    if not plan.refused:
        return ""
    broken = [each.rule.id for each in plan.placement.errors]
    return f"refused: {', '.join([*broken, *(each.check for each in plan.errors)])}"


def _shown(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text).translate(_ESCAPES)
