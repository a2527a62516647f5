"""The page of the rules is made from the data, and in step with them."""

from __future__ import annotations

from keyhier.azure_disk.eligibility_rules import eligibility_rules, shipped_eligibility_rules
from keyhier.checks.statements import STATEMENTS
from keyhier.placement import rule_set, shipped_rule_sets
from tools import rules_page


def test_the_page_is_in_step_with_the_data() -> None:
    written = rules_page.PAGE.read_text(encoding="utf-8")
    assert written == rules_page.page(), "run python tools/rules_page.py"


def test_the_page_lists_every_rule() -> None:
    page = rules_page.page()
    for name in shipped_rule_sets():
        for rule in rule_set(name):
            assert f"`{rule.id}`" in page
            assert rule.source in page


def test_the_page_lists_what_is_found_beside_the_rules() -> None:
    page = rules_page.page()
    for each in STATEMENTS.values():
        assert (
            f"| `{each.id}` | {each.severity} | {each.text} | [{each.date}]({each.source}) |"
            in page
        )


def test_the_page_tells_of_which_rows_the_pages_were_not_seen() -> None:
    page = rules_page.page()
    for name in shipped_eligibility_rules():
        for each in eligibility_rules(name).obstacles:
            told = f"[{each.date}]({each.source})" + ("" if each.confirmed else ", not confirmed")
            assert f"| {told} |" in page
    assert page.count(", not confirmed |") == 2
