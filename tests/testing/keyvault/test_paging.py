"""Listings come a page at a time."""

from __future__ import annotations

from itertools import chain

import pytest
from azure.keyvault.secrets import SecretClient

from tests.testing.keyvault.raw_client import RawClient

NAMES = [f"bek-{number:02}" for number in range(60)]


def _fill(raw: RawClient) -> None:
    for name in NAMES:
        raw.put(f"/secrets/{name}", {"value": "x"})


def _pages(raw: RawClient, path: str) -> list[list[str]]:
    pages = []
    while path:
        document = raw.get(path, version=None).document
        pages.append([row["id"].rpartition("/")[2] for row in document["value"]])
        path = (document["nextLink"] or "").removeprefix(raw.vault.url)
    return pages


def test_a_page_has_25_and_a_link_to_the_next_which_is_null_at_the_end(raw: RawClient) -> None:
    assert raw.get("/secrets").document == {"value": [], "nextLink": None}
    _fill(raw)
    first = raw.get("/secrets").document
    assert first["nextLink"].startswith(f"{raw.vault.url}/secrets?api-version=7.6&$skiptoken=")
    pages = _pages(raw, "/secrets?api-version=7.6")
    assert [len(page) for page in pages] == [25, 25, 10]
    assert [*chain.from_iterable(pages)] == NAMES


def test_maxresults_makes_pages_smaller(raw: RawClient) -> None:
    _fill(raw)
    pages = _pages(raw, "/secrets?api-version=7.6&maxresults=20")
    assert [len(page) for page in pages] == [20, 20, 20]


def test_what_is_deleted_between_two_pages_hides_nothing_else(raw: RawClient) -> None:
    _fill(raw)
    first = raw.get("/secrets").document
    for name in NAMES[20:30]:
        raw.delete(f"/secrets/{name}")
    path = first["nextLink"].removeprefix(raw.vault.url)
    second = raw.get(path, version=None).document["value"]
    assert second[0]["id"].endswith(NAMES[30])


def test_the_client_follows_the_links(secrets: SecretClient, raw: RawClient) -> None:
    _fill(raw)
    assert [each.name for each in secrets.list_properties_of_secrets()] == NAMES
    for name in NAMES[:30]:
        raw.delete(f"/secrets/{name}")
    raw.vault.clock.advance(1)
    assert [each.name for each in secrets.list_deleted_secrets()] == NAMES[:30]


def test_versions_come_in_pages_too(raw: RawClient) -> None:
    made = [raw.put("/secrets/bek", {"value": "x"}).document["id"] for _ in range(30)]
    pages = _pages(raw, "/secrets/bek/versions?api-version=7.6")
    assert [len(page) for page in pages] == [25, 5]
    assert [*chain.from_iterable(pages)] == [each.rpartition("/")[2] for each in made]


@pytest.mark.parametrize(
    "wrong", ["maxresults=0", "maxresults=26", "maxresults=x", "$skiptoken=*", "$skiptoken=_w"]
)
def test_a_wrong_parameter_is_refused(raw: RawClient, wrong: str) -> None:
    assert raw.get(f"/secrets?{wrong}").code == "BadParameter"
