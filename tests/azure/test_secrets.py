"""Secrets of a Key Vault: what is refused before it is sent, and what the vault refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from keyhier.errors import (
    CapacityError,
    IntegrityError,
    InvalidStateError,
    NotFoundError,
)

if TYPE_CHECKING:
    import keyhier
    from keyhier.testing.keyvault import KeyVault


@pytest.mark.parametrize(
    ("value", "content_type", "tags"),
    [
        ("x" * (25 * 1024 + 1), None, {}),
        ("ü" * (25 * 512 + 1), None, {}),
        ("x", "t" * 256, {}),
        ("x", None, {f"tag{number}": "" for number in range(16)}),
        ("x", None, {"n" * 513: ""}),
        ("x", None, {"n": "v" * 513}),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_sent(
    keyvault: KeyVault,
    vault: keyhier.Vault,
    value: str,
    content_type: str | None,
    tags: dict[str, str],
) -> None:
    with pytest.raises(CapacityError):
        vault.secrets.set("disk", value, content_type=content_type, tags=tags)
    assert keyvault.requests.count() == 0


def test_the_largest_secret_is_kept(vault: keyhier.Vault) -> None:
    text = "x" * 25 * 1024
    tags = {f"{number:02}" + "n" * 510: "v" * 512 for number in range(15)}
    vault.secrets.set("disk", text, content_type="t" * 255, tags=tags)
    stored = vault.secrets.get("disk")
    assert stored.value == text.encode()
    assert (stored.content_type, dict(stored.tags)) == ("t" * 255, tags)


def test_of_two_versions_of_one_second_the_latest_is_the_last(vault: keyhier.Vault) -> None:
    made = [vault.secrets.set("disk", f"{number}", tags={"n": f"{number}"}) for number in range(2)]
    assert [version.id for version in vault.secrets.versions("disk")] == [each.id for each in made]
    (listed,) = vault.secrets.list()
    assert listed.id == made[-1].id
    assert dict(listed.tags) == {"n": "1"}
    assert listed.value is None


def test_a_secret_in_soft_deleted_state_says_so_and_what_to_do(vault: keyhier.Vault) -> None:
    stored = vault.secrets.set("disk", "text")
    vault.secrets.delete("disk", confirm="disk")
    assert vault.secrets.deleted() == ("disk",)
    for use in (
        lambda: vault.secrets.set("disk", "again"),
        lambda: vault.secrets.get("disk"),
        lambda: vault.secrets.versions("disk"),
    ):
        with pytest.raises(InvalidStateError, match=r"soft-deleted.*recover it, or purge it"):
            use()
    assert vault.secrets.recover("disk").id == stored.id
    vault.secrets.delete("disk", confirm="disk")
    vault.secrets.purge("disk", confirm="disk")
    assert vault.secrets.set("disk", "new").id != stored.id


def test_a_disabled_secret_is_told_as_such(keyvault: KeyVault, vault: keyhier.Vault) -> None:
    vault.secrets.set("disk", "text")
    disabled = {"error": {"code": "Forbidden", "innererror": {"code": "SecretDisabled"}}}
    keyvault.faults.add("get_secret", status=403, document=disabled)
    with pytest.raises(InvalidStateError, match="secret version is disabled"):
        vault.secrets.get("disk")


@pytest.mark.parametrize("version", ["1", "0" * 32])
def test_a_version_that_is_none_is_not_found(vault: keyhier.Vault, version: str) -> None:
    vault.secrets.set("disk", "text")
    with pytest.raises(NotFoundError):
        vault.secrets.get("disk", version)


@pytest.mark.parametrize(
    "answer",
    [
        {"value": "text"},
        {"id": "https://contoso.vault.azure.net/secrets/disk/" + "0" * 32, "attributes": {}},
        {"id": "{}/secrets/disk", "attributes": {}, "value": "text"},
        {"id": "{}/secrets/disk/" + "0" * 32, "attributes": {}},
    ],
)
def test_an_answer_that_is_not_of_the_secret_is_not_believed(
    keyvault: KeyVault, vault: keyhier.Vault, answer: dict[str, Any]
) -> None:
    if "id" in answer:
        answer = {**answer, "id": answer["id"].format(keyvault.url)}
    answer.setdefault("value", None)
    keyvault.faults.add("get_secret", status=200, document=answer)
    with pytest.raises(IntegrityError):
        vault.secrets.get("disk")


def test_promise_6_no_value_shows(vault: keyhier.Vault) -> None:
    made = vault.secrets.set("disk", "not to be shown")
    for shown in (made, vault.secrets.get("disk"), *vault.secrets.versions("disk")):
        assert "not to be shown" not in repr(shown)


def test_a_list_with_no_versions_is_of_no_secret(keyvault: KeyVault, vault: keyhier.Vault) -> None:
    keyvault.faults.add("list_secret_versions", status=200, document={"value": []})
    with pytest.raises(NotFoundError):
        vault.secrets.versions("disk")
