"""What is taken for a disk key, and what is not."""

from __future__ import annotations

import base64
import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.azure_disk.plaintext import DiskKey, recognise
from keyhier.errors import InvalidInputError
from keyhier.placement.model import System
from keyhier.secret import SecretBytes
from keyhier.volume import BitLockerKey, LinuxPassphrase
from tests.azure_disk.forms import ade_bek, content_of

GENERATED = base64.b64encode(os.urandom(127))


def taken(content: bytes, system: System | None = None, *, proven: bool = True) -> DiskKey:
    with SecretBytes(content) as plaintext:
        return recognise(plaintext, system, proven=proven)


@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize("system", [System.WINDOWS, None])
def test_a_bek_is_recognised_by_its_structure(system: System | None, proven: bool) -> None:
    with ade_bek() as bek:
        assert taken(content_of(bek), system, proven=proven) == bek


@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize("system", [System.LINUX, None])
@pytest.mark.parametrize("passphrase", [GENERATED, b"correct horse battery"])
def test_a_passphrase_is_recognised_by_its_characters(
    passphrase: bytes, system: System | None, proven: bool
) -> None:
    recognised = taken(passphrase, system, proven=proven)
    assert isinstance(recognised, LinuxPassphrase)
    assert content_of(recognised) == passphrase


@pytest.mark.parametrize("passphrase", ["schlüssel ☃", "short"])
def test_any_text_is_a_passphrase_where_it_is_known_to_be_what_was_protected(
    passphrase: str,
) -> None:
    assert content_of(taken(passphrase.encode(), System.LINUX)) == passphrase.encode()
    with pytest.raises(InvalidInputError):
        taken(passphrase.encode(), System.LINUX, proven=False)


def test_a_passphrase_decoded_twice_is_told_as_such() -> None:
    with pytest.raises(InvalidInputError, match="decoded once too often"):
        taken(base64.b64decode(GENERATED), System.LINUX)


def test_a_passphrase_encoded_twice_is_told_as_such() -> None:
    with pytest.raises(InvalidInputError, match="encoded once too often"):
        taken(base64.b64encode(GENERATED), System.LINUX)


@pytest.mark.parametrize("content", [b"", b"line\nbreak", GENERATED + b"\n", b"nul\0nul"])
def test_what_nobody_can_type_is_no_passphrase(content: bytes) -> None:
    with pytest.raises(InvalidInputError):
        taken(content, System.LINUX)


def test_one_platforms_key_is_not_taken_for_the_others() -> None:
    with ade_bek() as bek, pytest.raises(InvalidInputError):
        taken(content_of(bek), System.LINUX)
    with pytest.raises(InvalidInputError, match=r"no \.BEK file"):
        taken(GENERATED, System.WINDOWS)


@given(st.binary(max_size=245), st.sampled_from([None, *System]))
def test_garbage_of_any_length_is_no_disk_key(garbage: bytes, system: System | None) -> None:
    # What RSA1_5 answers where the key is another is random and of any length.
    garbage = b"\x80" + garbage
    with pytest.raises(InvalidInputError):
        taken(garbage, system, proven=False)


@given(st.integers(0, 199), st.integers(1, 255))
def test_a_changed_byte_of_a_bek_changes_it_or_is_refused(at: int, change: int) -> None:
    with BitLockerKey.generate(description="BitLocker Extension Key Protector") as bek:
        content = bytearray(content_of(bek))
        content[at] ^= change
        with suppress(InvalidInputError):
            assert taken(bytes(content), System.WINDOWS, proven=False) != bek
