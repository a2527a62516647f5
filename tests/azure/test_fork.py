"""Forked children and threads: each process has connections of its own, threads share them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keyhier
    from keyhier.testing.keyvault import KeyVault


def test_a_vault_that_was_opened_before_a_fork_works_on_both_sides(vault: keyhier.Vault) -> None:
    key = vault.create_key("kek", "RSA-2048")
    wrapped = key.wrap(b"secret")
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with vault.unwrap(wrapped) as opened:
                    code = 0 if opened == b"secret" else 2
                vault.close()
            finally:
                os._exit(code)
        children.append(child)
    for _ in range(5):
        with vault.unwrap(wrapped) as opened:
            assert opened == b"secret"
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    # The children closed what was theirs.
    with vault.unwrap(wrapped) as opened:
        assert opened == b"secret"


def test_threads_share_a_vault_and_its_connections(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    wrapped = [key.wrap(str(number).encode()) for number in range(64)]

    def read(number: int) -> bytes:
        with vault.unwrap(wrapped[number]) as opened:
            return opened.reveal()

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(read, range(64))) == [str(number).encode() for number in range(64)]
    assert keyvault.requests.count("unwrap_key") == 64
