"""Rules as data: every one has a source, and a file with a mistake is refused with its line."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from keyhier.errors import InvalidInputError, NotFoundError
from keyhier.placement import read_rule_set, rule_set, shipped_rule_sets

RULE = """
title = "Ours"

[[rule]]
id = "vault-here"
severity = "error"
about = "ade-vault"
same = "region"
text = "The vault is here"
remedy = "move it"
source = "https://intranet.example/rules"
date = 2026-01-02
"""


def read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(text, encoding="utf-8")
    read_rule_set(path)


@pytest.mark.parametrize("name", shipped_rule_sets())
def test_every_shipped_rule_has_a_page_as_its_source(name: str) -> None:
    for rule in rule_set(name):
        assert rule.source.startswith(("https://learn.microsoft.com/", "https://github.com/"))
        assert rule.date.year >= 2018


def test_strict_asks_more_than_today() -> None:
    strict, today = set(rule_set("strict")), set(rule_set("today"))
    assert {rule.id for rule in strict - today} == {"cmk-vault-subscription"}
    assert today < strict


def test_a_set_of_ones_own_extends_a_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text('extends = "strict"\nomits = ["ade-retires"]\n' + RULE, encoding="utf-8")
    ours = read_rule_set(path)
    assert (ours.name, ours.title) == ("ours", "Ours")
    assert len(ours.rules) == len(rule_set("strict").rules)
    assert ours.rule("vault-here").date.isoformat() == "2026-01-02"


def test_rules_that_are_left_out_must_be_there() -> None:
    assert not set(rule_set().without("ade-retires")) & {rule_set().rule("ade-retires")}
    with pytest.raises(NotFoundError, match="no rule 'ade-retire'"):
        rule_set().without("ade-retire")
    with pytest.raises(NotFoundError, match="no rule set 'lax'"):
        rule_set("lax")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'same = "region"',
            'same = "region"\nwhen = "now"',
            r"ours.toml:9:1: unknown field 'when'",
        ),
        ('title = "Ours"', 'name = "Ours"', r"ours.toml:2:1: unknown field 'name'"),
        ('title = "Ours"', "title = 1", "title is text"),
        (
            'source = "https://intranet.example/rules"',
            "",
            r"ours.toml:4:1: a rule without 'source'",
        ),
        ("https://intranet.example/rules", "hearsay", r"ours.toml:4:1: .* names no page"),
        ('severity = "error"', 'severity = "bad"', r"ours.toml:6:1: severity is one of ok, note"),
        ('severity = "error"', "severity = ['x']", r"ours.toml:6:1: severity is one of"),
        ('about = "ade-vault"', 'about = "vaults"', r"ours.toml:7:1: about is one of vm, disk"),
        ('about = "ade-vault"', 'about = "vm"', "cannot compare region of vm; it can compare not"),
        ('same = "region"', 'never = ["cmk"]', "cannot ask cmk of ade-vault; it can ask disk-enc"),
        ('same = "region"', 'never = "cmk"', r"ours.toml:8:1: never is a list"),
        ('same = "region"', 'never = ["__import__"]', r"ours.toml:8:1: never is one of"),
        ('same = "region"', "", "exactly one of same, never and any"),
        ('same = "region"', 'same = "region"\nany = ["purge-protection"]', "exactly one of"),
        ('text = "The vault is here"', 'text = ""', r"ours.toml:9:1: text is text"),
        ("date = 2026-01-02", 'date = "2026-01-02"', "without quotes"),
        ("date = 2026-01-02", "date = 2026-01-02T00:00:00Z", "without quotes"),
        ("date = 2026-01-02", "date = ", "cannot be read as TOML.*line 12"),
        ("[[rule]]", "[rule]", r"a rule begins with \[\[rule\]\]"),
        ('title = "Ours"', 'title = "Ours"\nomits = ["x"]', "omits without extends"),
        ('title = "Ours"', 'title = "Ours"\nextends = "lax"', "no rule set 'lax'"),
        ('title = "Ours"', 'title = "O"\nextends = "today"\nomits = ["x"]', "has no rule 'x'"),
        ('id = "vault-here"', 'id = " "', r"ours.toml:5:1: id is text"),
    ],
)
def test_a_mistake_is_refused_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in RULE
    with pytest.raises(InvalidInputError, match=told):
        read(tmp_path, RULE.replace(old, new))


def test_a_rule_has_an_id_a_text_and_a_remedy() -> None:
    with pytest.raises(InvalidInputError, match="has an id, a text and a remedy"):
        attrs.evolve(rule_set().rules[0], text="")


def test_a_rule_stands_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="vault-here stands twice"):
        read(tmp_path, RULE + RULE.partition("\n\n")[2])


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"^there is no file .*none.toml"):
        read_rule_set(tmp_path / "none.toml")
    with pytest.raises(InvalidInputError, match="cannot be read: Is a directory"):
        read_rule_set(tmp_path)


def test_the_column_of_a_field_is_told_too(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text('title = "Ours"\n[[rule]]\n    id = "a"\n    "colour" = "red"\n')
    with pytest.raises(InvalidInputError, match=r"ours.toml:4:5: unknown field 'colour'"):
        read_rule_set(path)
