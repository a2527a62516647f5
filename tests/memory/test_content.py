"""The changes that can be made to a vault's content."""

from __future__ import annotations

import pytest

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.errors import AlreadyExistsError, ConflictError
from keyhier_memory.content import Content
from keyhier_memory.keys import Material


def test_a_change_leaves_the_content_it_started_from_as_it_was() -> None:
    empty = Content()
    one = empty.adding("kek", Material.generate(KeySpec.AES_128, None))
    two = one.rotating("kek", Material.generate(KeySpec.AES_128, None))
    disabled = two.enabling(two.key("kek").latest.describe("kek").id, enabled=False)
    deleted = disabled.deleting(disabled.key("kek").latest.describe("kek").id)
    deleted.purging("kek")
    assert [len(content.keys) for content in (empty, one, deleted)] == [0, 1, 1]
    assert len(one.key("kek").versions) == 1
    assert two.key("kek").latest.enabled
    assert not disabled.key("kek").deleted


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [(KeySpec.AES_256, None), (KeySpec.AES_256, WrapAlgorithm.A256KWP), (KeySpec.AES_192, None)],
)
def test_a_key_replaced_by_another_kind_while_it_is_rotated_is_a_conflict(
    spec: KeySpec, algorithm: WrapAlgorithm | None
) -> None:
    content = Content().adding("kek", Material.generate(KeySpec.AES_128, None))
    with pytest.raises(ConflictError, match="rotate it again"):
        content.rotating("kek", Material.generate(spec, algorithm))


def test_a_name_taken_while_the_key_was_made_is_still_refused() -> None:
    content = Content().adding("kek", Material.generate(KeySpec.AES_128, None))
    with pytest.raises(AlreadyExistsError):
        content.adding("kek", Material.generate(KeySpec.AES_128, None))
