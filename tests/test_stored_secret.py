"""SecretId: the URL of a secret, read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier import SecretId
from keyhier.errors import InvalidInputError
from keyhier.secret import SecretBytes
from keyhier.stored_secret import SetSecret, StoredSecret

VERSION = "0123456789abcdef0123456789abcdef"

hosts = st.from_regex(r"\A[a-z][a-z0-9]{2,20}\.vault\.azure\.net(:8443)?\Z")
names = st.from_regex(r"\A[0-9A-Za-z-]{1,127}\Z")
versions = st.just("") | st.from_regex(r"\A[0-9a-f]{32}\Z")


@given(vault=hosts, name=names, version=versions)
def test_what_is_written_is_read_back(vault: str, name: str, version: str) -> None:
    secret_id = SecretId(vault, name, version)
    assert SecretId.parse(str(secret_id)) == secret_id
    assert str(SecretId.parse(str(secret_id))) == str(secret_id)
    assert secret_id.versionless == SecretId(vault, name)


def test_spellings_of_one_identity_are_equal_and_the_name_keeps_its_case() -> None:
    first = SecretId.parse(f"https://Contoso.vault.azure.net:443/secrets/EF7B-2F5A/{VERSION}")
    second = SecretId.parse(f"HTTPS://contoso.VAULT.azure.net/Secrets/ef7b-2f5a/{VERSION.upper()}")
    assert first == second
    assert hash(first) == hash(second)
    assert (first.name, second.name) == ("EF7B-2F5A", "ef7b-2f5a")
    assert str(first) == f"https://contoso.vault.azure.net/secrets/EF7B-2F5A/{VERSION}"


def test_a_secret_in_memory_has_an_id_too() -> None:
    secret_id = SecretId("", "bek", VERSION)
    assert str(secret_id) == f"memory:secrets/bek/{VERSION}"
    assert SecretId.parse(str(secret_id)) == secret_id
    assert SecretId.parse("memory:secrets/bek") == SecretId("", "bek")
    assert (secret_id.scheme, SecretId("contoso.vault.azure.net", "bek").scheme) == (
        "memory",
        "https",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bek",
        "memory:",
        "memory:secrets/",
        "memory:bek",
        "memory:secrets/b_k",
        "memory:secrets/bek/",
        "http://contoso.vault.azure.net/secrets/bek",
        "https://contoso.vault.azure.net/keys/bek",
        "https://contoso.vault.azure.net/secrets/",
        "https://contoso.vault.azure.net/secrets/bek/latest",
        f"https://contoso.vault.azure.net/secrets/bek/{VERSION}/more",
        f"https://contoso.vault.azure.net/secrets/bek/{VERSION}?api-version=7.4",
        "https://contoso.vault.azure.net/secrets/b_k",
        "https://con--toso.vault.azure.net/secrets/bek",
        "https://x.vault.azure.net/secrets/bek",
        "https://user@contoso.vault.azure.net/secrets/bek",
        "https://contoso.vault.azure.net:0/secrets/bek",
        "https:contoso.vault.azure.net/secrets/bek",
        "https://contoso.vault.azure.net/secrets/" + "b" * 600,
    ],
)
def test_what_is_no_id_of_a_secret_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        SecretId.parse(text)


def test_promise_6_a_value_shows_in_no_repr() -> None:
    with SecretBytes(b"hunter2") as value:
        stored = StoredSecret(SecretId("", "bek", VERSION), value)
        assert "hunter2" not in repr(stored) + repr(SetSecret("bek", value))


def test_tags_are_copied_and_cannot_be_changed() -> None:
    tags = {"MachineName": "web-01"}
    with SecretBytes(b"hunter2") as value:
        request = SetSecret("bek", value, tags=tags)
        tags["MachineName"] = "web-02"
        assert request.tags == {"MachineName": "web-01"}
        with pytest.raises(TypeError):
            request.tags["MachineName"] = "web-02"  # type: ignore[index]
