"""`keyhier demo`: the main job, shown: keys made, wrapped, unwrapped and used."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from keyhier.cli.demo_hierarchy import ActTwo, act_two
from keyhier.cli.demo_job import Run, Sample, memory_stage, run, softhsm_stage, softhsm_unavailable
from keyhier.cli.demo_picture import WIDTH, second_act, state
from keyhier.cli.demo_plan import act_three, third_act
from keyhier.cli.inspect import header_table, read_header
from keyhier.cli.session import Session, console, json_command
from keyhier.cli.text import printable
from keyhier.errors import IntegrityError

__all__ = ["demo"]

_SEGMENTS: Final = ("header", "encrypted key", "IV", "ciphertext", "tag")


@json_command
def demo(session: Session) -> None:
    """Show the main job on a memory vault, and on a SoftHSM token where SoftHSM is installed."""
    skipped = softhsm_unavailable()
    screen = None if session.settings.as_json else console()
    runs = []
    for done in _runs(with_softhsm=skipped is None):
        runs.append(done)
        if screen is not None:
            screen.print(_picture(done))
    act = _second_act(with_softhsm=skipped is None)
    if screen is not None:
        screen.print(second_act(act))
    planned = act_three()
    if screen is not None:
        screen.print(Text("-- plans ".ljust(WIDTH, "-"), style="dim"))
        screen.print(third_act(planned))
    holds = act.holds and planned.holds and all(done.holds for done in runs)
    document = {
        **_report(runs, skipped),
        "ok": holds,
        "hierarchy": act.as_dict(),
        "plans": planned.as_dict(),
    }
    session.show(document, _conclusion(skipped, holds=holds))
    if not holds:
        raise IntegrityError("the demonstration failed: not everything came out as it must")


def _runs(*, with_softhsm: bool) -> Iterator[Run]:
    with tempfile.TemporaryDirectory(prefix="keyhier-demo-") as name:
        yield run(memory_stage(Path(name)), Path(name))
    if with_softhsm:
        with tempfile.TemporaryDirectory(prefix="keyhier-demo-") as name, softhsm_stage() as stage:
            yield run(stage, Path(name))


def _second_act(*, with_softhsm: bool) -> ActTwo:
    with ExitStack() as stack:
        here, there = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keyhier-demo-")))
            for _ in range(2)
        )
        second = stack.enter_context(softhsm_stage()) if with_softhsm else memory_stage(there)
        return act_two(memory_stage(here), second, here)


def _picture(done: Run) -> RenderableType:
    first = done.samples[0]
    parts: list[RenderableType] = [
        Text(f"-- {done.stage.title} ".ljust(WIDTH, "-"), style="dim"),
        _tree(done),
        "",
        f"The BitLocker key's envelope, one public line of {len(str(first.wrapped))} characters",
        _shortened(first),
        "",
        "Its header, decoded",
        header_table(first.wrapped),
        "",
        _checks(done),
        "",
    ]
    return Group(*parts)


def _tree(done: Run) -> Tree:
    kid, algorithm = done.samples[0].wrapped.kid, done.samples[0].wrapped.algorithm
    vault = f"token {printable(kid.vault)}" if kid.vault else f"{kid.scheme}: vault"
    tree = Tree(vault, guide_style="dim")
    kek = tree.add(f"KEK {kid.name} ({done.spec}) never leaves the vault, wraps with {algorithm}")
    if done.note:
        kek.add(Text(f"note: {done.note}", style="dim"))
    for sample in done.samples:
        key = kek.add("a fresh content key, seals with A256GCM")
        bound = ", ".join(f"{name}={value}" for name, value in sample.wrapped.context.items())
        key.add(Group(Text(sample.what, style="bold"), Text(f"for {bound}", style="dim")))
    return tree


def _shortened(sample: Sample) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim", no_wrap=True, justify="right")
    for name, segment in zip(_SEGMENTS, str(sample.wrapped).split("."), strict=True):
        shown = segment if len(segment) <= 40 else f"{segment[:28]}...{segment[-8:]}"
        table.add_row(name, shown, f"{len(segment)} characters")
    return table


def _checks(done: Run) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for sample in done.samples:
        table.add_row(state(holds=sample.same), f"{sample.what} came back the same")
    table.add_row(state(holds=done.context_bound), "an envelope does not open with another context")
    if done.luks.opened is None:
        table.add_row(Text("skipped", style="yellow"), printable(done.luks.skipped or ""))
    else:
        table.add_row(
            state(holds=done.luks.opened),
            "cryptsetup opens a LUKS2 volume with the recovered passphrase",
        )
    return table


def _conclusion(skipped: str | None, *, holds: bool) -> str:
    lines = [f"skipped: the same on a PKCS#11 token, as {printable(skipped)}"] if skipped else []
    if holds:
        lines.append("Everything came back. Nothing of this demonstration is left on the disk.")
    return "\n".join(lines)


def _report(runs: list[Run], skipped: str | None) -> dict[str, Any]:
    return {
        "runs": [
            {
                "vault": done.stage.title,
                "kek": str(done.samples[0].wrapped.kid),
                "spec": done.spec,
                "algorithm": done.samples[0].wrapped.algorithm,
                "note": done.note,
                "secrets": [
                    {
                        "what": sample.what,
                        "wrapped": str(sample.wrapped),
                        "header": read_header(sample.wrapped),
                        "same": sample.same,
                    }
                    for sample in done.samples
                ],
                "context_bound": done.context_bound,
                "luks": {"opened": done.luks.opened, "skipped": done.luks.skipped},
            }
            for done in runs
        ],
        "skipped": [] if skipped is None else [{"vault": "SoftHSM", "reason": skipped}],
    }
