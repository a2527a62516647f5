"""Resident memory stays flat however long a batch is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.soak.children import told_by

if TYPE_CHECKING:
    from tests.soak.scale import Figures, Scale

FEW = 10_000
MIB = 1 << 20
# What the allocator may keep of a busy moment. Sixteen bytes for each of a million items that
# were not let go would be four times as much.
ALLOWED = 4 * MIB


# On a token a million take too long. SoftHSM is not asked for AES key wrap, because it never lets
# go of the last of a session object, which each takes one of.
@pytest.mark.parametrize(
    ("fixture", "algorithm", "divisor"),
    [
        (None, "A256KW", 1),
        ("softhsm", "A256GCMKW", 4),
        ("softhsm", "RSA-OAEP", 10),
        ("nss", "A256KW", 10),
    ],
)
def test_resident_memory_is_flat_from_the_first_items_to_the_last(
    request: pytest.FixtureRequest,
    fixture: str | None,
    algorithm: str,
    divisor: int,
    scale: Scale,
    figures: Figures,
) -> None:
    uri = request.getfixturevalue(f"{fixture}_token").uri if fixture else "memory:"
    many = scale.many // divisor
    few = min(FEW, many // 2)
    told = told_by(
        "memory_use",
        patience=120 + many / 50,
        URI=uri,
        ALGORITHM=algorithm,
        FEW=str(few),
        MANY=str(many),
    )
    for batch, seen in told.items():
        assert seen["highest"] - seen["few"] < ALLOWED, batch
        figures(
            f"{fixture or 'memory'}, {algorithm}: resident memory in {batch}",
            f"{seen['few'] / MIB:.1f} MiB after {few:,} items, {seen['many'] / MIB:.1f} MiB after "
            f"{many:,}, at most {seen['highest'] / MIB:.1f} MiB between; {seen['seconds']:.0f} s",
        )
