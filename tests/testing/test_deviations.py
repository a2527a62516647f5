"""Deviations are data, and malformed data is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyhier.errors import InvalidInputError
from keyhier.testing.deviations import Deviation, read_deviations

GOOD = '[[deviation]]\ntest = "test_x[a]"\nraises = "UnwrapError"\nreason = "it does not"\n'


def test_a_file_of_deviations_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deviations.toml"
    path.write_text(GOOD + GOOD.replace("[a]", "").replace("UnwrapError", "AssertionError"))
    assert read_deviations(path) == read_deviations(str(path))
    assert read_deviations(path) == (
        Deviation("test_x[a]", "UnwrapError", "it does not"),
        Deviation("test_x", "AssertionError", "it does not"),
    )


def test_an_empty_file_declares_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deviations.toml"
    path.write_text("")
    assert read_deviations(path) == ()


@pytest.mark.parametrize("name", ["softhsm", "nss"])
def test_a_list_that_is_shipped_is_read_by_its_name(name: str) -> None:
    shipped = read_deviations(name)
    assert shipped
    for deviation in shipped:
        assert deviation.raises in {"UnsupportedError", "AssertionError"}
        assert len(deviation.reason) > 20


@pytest.mark.parametrize(
    "content",
    [
        "not TOML",
        "\0",
        "deviation = 1\n",
        "deviation = [1]\n",
        "[deviation]\ntest = 'test_x'\n",
        "[[deviations]]\ntest = 'test_x'\n",
        "[[deviation]]\ntest = 'test_x'\n",
        GOOD + "issue = 1\n",
        GOOD.replace("it does not", " "),
        GOOD.replace('"it does not"', "1"),
        GOOD.replace("test_x[a]", ""),
        GOOD.replace("UnwrapError", "ValueError"),
        GOOD.replace('"UnwrapError"', "['UnwrapError']"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "deviations.toml"
    path.write_text(content)
    with pytest.raises(InvalidInputError):
        read_deviations(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_deviations(tmp_path / "missing.toml")


def test_a_deviation_is_expected_to_fail_in_the_declared_way_only() -> None:
    mark = Deviation("test_x", "UnwrapError", "it does not").mark
    assert mark.name == "xfail"
    assert mark.kwargs["strict"] is True
    assert [kind.__name__ for kind in mark.kwargs["raises"]] == ["UnwrapError"]
    assert mark.kwargs["reason"] == "UnwrapError: it does not"
