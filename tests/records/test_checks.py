"""What every database can keep, and what is refused before a database sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId
from keyhier.records import Job, StoredSet

KEY = KeyId.parse("memory:kek/1")


@pytest.mark.parametrize(
    "document",
    [
        {"x": object()},
        {"x": {1, 2}},
        {"x": float("nan")},
        {"x": "a\0b"},
        {"x": "\ud800"},
        {"x": "y" * 70_000},
        {(1, 2): "x"},
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda document: Job(kind="x", keys=("a",), intent=document),
        lambda document: Job(kind="x", keys=("a",), options=document),
        lambda document: StoredSet(name="x", key=KEY, document=document),
    ],
    ids=["intent", "options", "set"],
)
def test_a_document_is_json_that_every_database_keeps(
    document: dict[Any, Any], make: Callable[[dict[Any, Any]], object]
) -> None:
    with pytest.raises(InvalidInputError, match="is a JSON object"):
        make(document)
    assert make({"x": [1, None, {"ü": "☃😀"}]})
