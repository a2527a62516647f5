"""A vault with KEKs, made once: an RSA key takes long to make."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import keyhier


@pytest.fixture(scope="session")
def vault() -> Iterator[keyhier.Vault]:
    """A vault with the keys ``small`` (RSA-2048), ``kek`` (RSA-3072) and ``aes``; they stay."""
    with keyhier.open("memory:") as opened:
        opened.create_key("small", "RSA-2048")
        opened.create_key("kek", "RSA-3072")
        opened.create_key("aes", "AES-256")
        yield opened


@pytest.fixture(scope="session")
def kek(vault: keyhier.Vault) -> keyhier.Key:
    """The KEK of 3,072 bits."""
    return vault.key("kek")
