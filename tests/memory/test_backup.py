"""Backups open in the vault that made them, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.algorithms import KeySpec
from keyhier.errors import InvalidInputError
from keyhier.secret import SecretBytes
from keyhier_memory.backup import open_backup, seal_backup
from keyhier_memory.content import Content
from keyhier_memory.keys import Material
from tests.memory.vaults import create_aes, open_file, open_memory, opened, seal

KEY = Content().adding("kek", Material.generate(KeySpec.AES_256, None)).key("kek")
BACKUP_KEY = SecretBytes.random(32)
BACKUP = seal_backup(KEY, BACKUP_KEY)


def test_vaults_without_a_file_in_one_process_restore_each_others_keys() -> None:
    first, second = open_memory(), open_memory()
    made = create_aes(first)
    wrapped = seal(first, made)
    assert second.restore_key(first.backup_key("kek")) == made
    assert opened(second, made, wrapped) == bytes(range(32))


def test_a_copy_of_the_file_restores_what_the_file_backed_up(vault_path: Path) -> None:
    first = open_file(vault_path)
    copy = vault_path.with_name("copy")
    copyfile(vault_path, copy)
    copy.chmod(0o600)
    made = create_aes(first)
    assert open_file(copy).restore_key(first.backup_key("kek")) == made


def test_another_vault_does_not_restore_it(vault_path: Path) -> None:
    alone, first = open_memory(), open_file(vault_path)
    second = open_file(vault_path.with_name("second"))
    create_aes(first)
    backup = first.backup_key("kek")
    for other in (alone, second):
        with pytest.raises(InvalidInputError, match="another vault"):
            other.restore_key(backup)
        assert list(other.list_keys()) == []


def test_a_backup_shows_nothing_of_the_key() -> None:
    assert b"kek" not in BACKUP
    assert KEY.latest.material.secret.reveal() not in BACKUP
    assert seal_backup(KEY, BACKUP_KEY) != BACKUP


@given(st.integers(0, len(BACKUP) - 1), st.integers(1, 255))
def test_any_altered_byte_is_refused(at: int, change: int) -> None:
    data = BACKUP[:at] + bytes([BACKUP[at] ^ change]) + BACKUP[at + 1 :]
    with pytest.raises(InvalidInputError):
        open_backup(data, BACKUP_KEY)


@given(st.integers(0, len(BACKUP) - 1))
def test_any_truncation_is_refused(length: int) -> None:
    with pytest.raises(InvalidInputError):
        open_backup(BACKUP[:length], BACKUP_KEY)
