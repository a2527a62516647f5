"""Which vault an `ade` command opens: what the command line names, and nothing that a tag does."""

from __future__ import annotations

import pytest

from keyhier.cli.ade_vaults import uri_for
from keyhier.cli.session import Settings
from keyhier.errors import InvalidInputError
from keyhier.stored_secret import SecretId

SECRET = SecretId("contoso.vault.azure.net", "bek")
OWN = "https://contoso.vault.azure.net"


@pytest.mark.parametrize(
    ("given", "usual", "expected"),
    [
        (None, None, OWN),
        (None, "memory:", OWN),
        (None, "https://fabrikam.vault.azure.net", OWN),
        (None, f"{OWN}.evil.example?timeout=5", OWN),
        (None, f"{OWN}?timeout=5", f"{OWN}?timeout=5"),
        (None, "https://Contoso.vault.azure.net/?timeout=5", None),
        ("memory:", f"{OWN}?timeout=5", "memory:"),
        (f"{OWN}?timeout=9", f"{OWN}?timeout=5", f"{OWN}?timeout=9"),
    ],
)
def test_a_url_names_its_vault_unless_another_is_given(
    monkeypatch: pytest.MonkeyPatch, given: str | None, usual: str | None, expected: str | None
) -> None:
    if usual is not None:
        monkeypatch.setenv("KEYHIER_VAULT", usual)
    assert uri_for(Settings(vault=given), SECRET) == (expected or usual)


@pytest.mark.parametrize("named", [None, SecretId("", "bek")])
def test_a_name_alone_is_looked_up_in_the_usual_vault(
    monkeypatch: pytest.MonkeyPatch, named: SecretId | None
) -> None:
    with pytest.raises(InvalidInputError, match="no vault is named"):
        uri_for(Settings(), named)
    monkeypatch.setenv("KEYHIER_VAULT", "memory:")
    assert uri_for(Settings(), named) == "memory:"
