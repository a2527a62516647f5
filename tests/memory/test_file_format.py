"""The vault's file as bytes: nothing in it is trusted before its seal was checked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhier.algorithms import KeySpec
from keyhier.errors import AuthenticationError, IntegrityError, KeyhierError, UnsupportedError
from keyhier.secret import SecretBytes
from keyhier.stored_secret import SetSecret
from keyhier_memory.content import Content
from keyhier_memory.file_format import Cost, open_content, seal_content
from keyhier_memory.keys import Material
from tests.memory.vaults import CHEAP

PATH = Path("/vault")
PASSPHRASE = SecretBytes(b"passphrase")
CONTENT = Content().adding("kek", Material.generate(KeySpec.AES_256, None))
SEALED = seal_content(CONTENT, PASSPHRASE, CHEAP)
EMPTY = SecretBytes(b"")
BODY = 34
"""Where the header ends."""


def read(data: bytes) -> Content:
    content, cost = open_content(data, PASSPHRASE, PATH)
    assert cost == Cost(*data[15:18])
    return content


def altered(at: int, value: int) -> bytes:
    return SEALED[:at] + bytes([value]) + SEALED[at + 1 :]


def test_what_was_sealed_opens_again() -> None:
    content = read(SEALED)
    assert content == CONTENT
    assert content.backup_key == CONTENT.backup_key


def test_secrets_open_again_and_mark_the_file_with_a_format_of_their_own() -> None:
    with SecretBytes(b"a value") as value:
        request = SetSecret("EF7B", value, "BEK", {"MachineName": "web-01"})
        content = CONTENT.setting_secret(request).setting_secret(SetSecret("empty", EMPTY))
    sealed = seal_content(content, PASSPHRASE, CHEAP)
    assert (SEALED[14], sealed[14]) == (1, 2)
    again = read(sealed)
    assert again == content
    assert again.secret("ef7b").latest.value == b"a value"
    assert again.secret("empty").latest.value == b""
    assert b"web-01" not in sealed


def test_what_holds_no_secrets_stays_readable_for_an_older_release() -> None:
    content = CONTENT.setting_secret(SetSecret("gone", EMPTY)).deleting_secret("gone")
    assert seal_content(content, PASSPHRASE, CHEAP)[14] == 2
    assert seal_content(content.purging_secret("gone"), PASSPHRASE, CHEAP)[14] == 1


def test_the_default_costs_a_guess_at_least_32_mib_three_times() -> None:
    sealed = seal_content(CONTENT, PASSPHRASE, Cost())
    assert tuple(sealed[14:18]) == (1, 15, 8, 3)
    assert read(sealed) == CONTENT


def test_salt_and_iv_are_fresh_at_every_write() -> None:
    again = seal_content(CONTENT, PASSPHRASE, CHEAP)
    assert again[:18] == SEALED[:18]
    assert again[18:34] != SEALED[18:34]
    assert again[34:46] != SEALED[34:46]


def test_nothing_of_the_keys_can_be_read_in_the_file() -> None:
    assert b"kek" not in SEALED
    assert CONTENT.key("kek").latest.material.secret.reveal() not in SEALED


def test_a_wrong_passphrase_and_an_altered_body_look_alike_and_the_error_says_so() -> None:
    said = "the passphrase is wrong or the file was altered"
    with pytest.raises(AuthenticationError, match=said), SecretBytes(b"Passphrase") as wrong:
        open_content(SEALED, wrong, PATH)
    for at in (18, BODY, len(SEALED) - 1):
        with pytest.raises(AuthenticationError, match=said) as caught:
            read(altered(at, SEALED[at] ^ 1))
        assert "/vault.previous" in str(caught.value)


@pytest.mark.parametrize(
    ("log2_n", "r", "p"),
    [
        (0, 8, 1),
        (13, 8, 1),
        (18, 8, 1),
        (63, 8, 1),
        (255, 255, 255),
        (15, 0, 1),
        (15, 1, 1),
        (15, 9, 1),
        (15, 255, 1),
        (15, 8, 0),
        (15, 8, 5),
        (17, 8, 2),
        (14, 8, 9),
    ],
)
def test_a_derivation_that_would_cost_too_little_or_too_much_is_refused_before_it_starts(
    log2_n: int, r: int, p: int
) -> None:
    assert not Cost(log2_n, r, p).allowed
    # Had it been derived, the altered header would make it an AuthenticationError.
    with pytest.raises(IntegrityError, match=r"header that no release writes.*/vault\.previous"):
        read(SEALED[:15] + bytes([log2_n, r, p]) + SEALED[18:])


@pytest.mark.parametrize("cost", [Cost(14, 8, 8), Cost(15, 8, 4), Cost(16, 8, 2), Cost(17, 8, 1)])
def test_the_bounds_leave_room_for_a_later_release(cost: Cost) -> None:
    assert cost.allowed


def test_a_newer_format_is_told_as_such() -> None:
    for data in (altered(14, 3), altered(14, 255), SEALED[:14] + b"\3"):
        with pytest.raises(UnsupportedError, match="a newer one"):
            read(data)


def test_format_0_was_never_written() -> None:
    with pytest.raises(IntegrityError):
        read(altered(14, 0))


@pytest.mark.parametrize("data", [b"", b"keyhier-vault", b"PK\3\4" * 100, bytes(1000)])
def test_another_file_is_no_vault(data: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"is no vault's file.*/vault\.previous"):
        read(data)


@pytest.mark.parametrize("length", [14, 15, 33, 34, 46, 62, 93])
def test_a_file_cut_in_its_header_is_told_as_such(length: int) -> None:
    with pytest.raises(IntegrityError, match=r"is cut short.*/vault\.previous"):
        read(SEALED[:length])


@settings(max_examples=60)
@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_any_altered_byte_is_one_of_the_documented_errors(at: int, change: int) -> None:
    with pytest.raises((AuthenticationError, IntegrityError, UnsupportedError)):
        read(altered(at, SEALED[at] ^ change))


@settings(max_examples=40)
@given(st.integers(0, len(SEALED) - 1))
def test_any_truncation_is_one_of_the_documented_errors(length: int) -> None:
    with pytest.raises((AuthenticationError, IntegrityError)):
        read(SEALED[:length])


@given(st.sampled_from([b"", SEALED[:14], SEALED[:15]]), st.binary(max_size=120))
def test_any_bytes_are_one_of_the_documented_errors(start: bytes, rest: bytes) -> None:
    with pytest.raises(KeyhierError):
        read(start + rest)
