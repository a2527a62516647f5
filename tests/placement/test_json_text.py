"""JSON with the places of its values."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.placement.json_text import MAX_BYTES, JsonText, NotJsonError, below

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


def places(value: object, pointer: str = "") -> list[tuple[str, object]]:
    found = [(pointer, value)]
    if isinstance(value, dict):
        found += [each for k, v in value.items() for each in places(v, below(pointer, k))]
    if isinstance(value, list):
        found += [each for n, v in enumerate(value) for each in places(v, below(pointer, n))]
    return found


@given(VALUES, st.sampled_from([None, 2]))
def test_each_value_is_found_where_it_stands(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    read = JsonText("a.json", text.encode(errors="surrogatepass"))
    assert read.value == value
    for pointer, each in places(value):
        origin = read.origin(pointer)
        assert origin.line is not None
        assert origin.column is not None
        rest = text.split("\n")[origin.line - 1 :]
        found, _ = json.JSONDecoder().raw_decode("\n".join(rest)[origin.column - 1 :])
        assert found == each


def test_what_is_not_there_is_looked_for_at_what_would_hold_it() -> None:
    read = JsonText("a.json", b'{\n  "a": {"b": 1}\n}')
    origin = read.origin("/a/none")
    assert (origin.line, origin.column) == (2, 8)


def test_comments_and_texts_over_several_lines_are_arms() -> None:
    read = JsonText("a.json", b'{ // "no": 1\n "a": "x // y", /* \n */ "b": "two\nlines" }')
    assert read.value == {"a": "x // y", "b": "two\nlines"}
    assert read.origin("/b").line == 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_any_encoding_with_its_mark_is_read(encoding: str) -> None:
    assert JsonText("a.json", '{"a": "é"}'.encode(encoding)).value == {"a": "é"}


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (b"", (1, 1), "no JSON"),
        (b'{\n "a": 1,\n}', (3, 1), "no JSON: a comma stands before the end"),
        (b"[1,\n]", (2, 1), "no JSON: a comma stands before the end"),
        (b'[",",\n x]', (2, 2), "no JSON: Expecting value"),
        (b"[" * 100_000, (1, 201), "nested too deeply"),
        (b'{"a": 1, "a": 2}', (1, 10), "stands twice"),
        (b"[NaN]", (1, 2), "NaN"),
        (b"[" + b"1" * 5000 + b"]", (1, 2), "digits"),
        (b"\xff{}", (None, None), "text"),
        (b" " * (MAX_BYTES + 1), (None, None), "MiB"),
    ],
    ids=["empty", "comma", "list", "word", "deep", "twice", "nan", "digits", "bytes", "large"],
)
def test_what_is_no_json_is_told_with_its_place(
    content: bytes, place: tuple[int | None, int | None], words: str
) -> None:
    with pytest.raises(NotJsonError, match=words) as caught:
        JsonText("a.json", content)
    origin = caught.value.origin
    assert PurePath(origin.file).name == "a.json"
    assert (origin.line, origin.column) == place


@pytest.mark.parametrize(
    ("text", "words", "place"),
    [
        ('{"a": 1,\n  "a": 2}', "the member 'a' stands twice", (2, 3)),
        ('{"a": {"b": 1, "c": [],\n "\\u0062": 2}, "a": 1}', "the member 'b' stands", (2, 2)),
        ('[{"x": "a", "y": {"x": 1}},\n {"z": 1, "x": [{"z": 1}],\n"z": 2}]', "'z'", (3, 1)),
        ('{"a": "NaN", "b": [1, "Infinity",\n   -Infinity]}', "-Infinity is no number", (2, 4)),
        ('{"NaN": "\\"NaN",\n"b": NaN}', "NaN is no number", (2, 6)),
        ('[1,\n "' + "1" * 5000 + '", ' + "1" * 5000 + "]", "too many digits", (2, 5006)),
        ('// NaN\n{"a": 1, /* "a": */\n"a": NaN}', "NaN is no number", (3, 6)),
    ],
)
def test_what_json_does_not_allow_is_told_with_its_place(
    text: str, words: str, place: tuple[int, int]
) -> None:
    with pytest.raises(NotJsonError) as caught:
        JsonText("a.json", text.encode())
    assert words in caught.value.message
    assert (caught.value.origin.line, caught.value.origin.column) == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('["' + '\\"' * 20_000, (1, 2)),
        ('["a' + "\\", (1, 2)),
        ("[" * 1000 + '"' + '\\"' * 20_000, (1, 201)),
        ("[1, " + "/* " * 20_000, (1, 5)),
        ("[1]\n/* to the end", (2, 1)),
        ("[1]/*/", (1, 4)),
    ],
    ids=["escapes", "escape", "deep", "comments", "comment", "slash"],
)
def test_what_never_ends_is_read_once_and_not_from_each_place(
    text: str, place: tuple[int, int]
) -> None:
    began = time.process_time()
    with pytest.raises(NotJsonError) as caught:
        JsonText("a.json", text.encode())
    assert time.process_time() - began < 2
    assert (caught.value.origin.line, caught.value.origin.column) == place


_LITTLE_MEMORY = """
import resource
from keyhier.placement.json_text import JsonText, NotJsonError

resource.setrlimit(resource.RLIMIT_AS, (400_000_000, resource.RLIM_INFINITY))
long = '"' + "a" * 6_000_000 + '"'
for text in (f'[{long}, NaN]', f'{{"a": {long}, "a": 1}}', f'[{long}, {"1" * 5000}]'):
    try:
        JsonText("a.json", text.encode())
    except NotJsonError as error:
        print(error.origin.line)
print(len(JsonText("a.json", f'[{long}] // said'.encode()).value))
"""


def test_a_long_text_takes_no_multiple_of_its_size() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LITTLE_MEMORY], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["1", "1", "1", "1"], done.stderr[-300:]
