"""The layout of .BEK files, built here by hand so that the parser is not held to its own writer."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from keyhier.errors import InvalidInputError
from keyhier.volume.bitlocker import BitLockerKey

IDENTIFIER = UUID("4381f759-c4f8-4de0-bb61-fc33a831bda5")
VOLUME = UUID("00112233-4455-6677-8899-aabbccddeeff")
KEY = bytes(range(1, 33))


def an_entry(entry_type: int, value_type: int, data: bytes, version: int = 1) -> bytes:
    return struct.pack("<HHHH", 8 + len(data), entry_type, value_type, version) + data


def a_text(text: str = "ExternalKey") -> bytes:
    return an_entry(0, 2, text.encode("utf-16-le") + b"\0\0")


def a_key(key: bytes = KEY, method: int = 0x2002, entry_type: int = 0, version: int = 1) -> bytes:
    return an_entry(entry_type, 1, struct.pack("<I", method) + key, version)


def a_volume(data: bytes = VOLUME.bytes_le) -> bytes:
    return an_entry(0x19, 0x17, data)


def a_file(
    *properties: bytes,
    size: int | None = None,
    size_again: int | None = None,
    version: int = 1,
    header_size: int = 48,
    created: int = 132446285897270000,
    modified: int = 132446285897270001,
    second_identifier: UUID = IDENTIFIER,
    outer_type: int = 6,
    outer_value: int = 9,
    outer_version: int = 1,
    counter: int = 1,
    method: int = 0,
    after: bytes = b"",
) -> bytes:
    inner = second_identifier.bytes_le + struct.pack("<Q", modified) + b"".join(properties)
    rest = an_entry(outer_type, outer_value, inner, outer_version) + after
    total = 48 + len(rest)
    header = struct.pack(
        "<IIII16sIIQ",
        total if size is None else size,
        version,
        header_size,
        total if size_again is None else size_again,
        IDENTIFIER.bytes_le,
        counter,
        method,
        created,
    )
    return header + rest


GOOD = a_file(a_text(), a_key())
GOOD_WINDOWS_11 = a_file(a_text(), a_volume(), a_key())


def test_both_known_forms_are_read() -> None:
    assert (len(GOOD), len(GOOD_WINDOWS_11)) == (156, 180)
    common = BitLockerKey.from_bytes(GOOD)
    with_volume = BitLockerKey.from_bytes(GOOD_WINDOWS_11)
    assert common.identifier == with_volume.identifier == IDENTIFIER
    assert common.description == with_volume.description == "ExternalKey"
    assert (common.volume_id, with_volume.volume_id) == (None, VOLUME)
    assert common.key == with_volume.key == KEY
    assert common.created == datetime(2020, 9, 15, 7, 29, 49, 727000, UTC)


def test_tenths_of_microseconds_survive_though_no_datetime_holds_them() -> None:
    key = BitLockerKey.from_bytes(GOOD)
    assert key.created == key.modified
    assert key.to_bytes() == GOOD


def test_a_description_is_not_required() -> None:
    assert BitLockerKey.from_bytes(a_file(a_key())).description is None


def test_an_empty_description_is_not_a_missing_one() -> None:
    assert BitLockerKey.from_bytes(a_file(a_text(""), a_key())).description == ""


@pytest.mark.parametrize(
    ("data", "problem", "offset"),
    [
        pytest.param(b"", "header is cut off", 0, id="nothing"),
        pytest.param(KEY, "header is cut off", 32, id="the-bare-key"),
        pytest.param(a_file(a_key(), size=1), "two sizes in the header differ", 12, id="size"),
        pytest.param(a_file(a_key(), size_again=1), "two sizes", 12, id="second-size"),
        pytest.param(
            GOOD[:-1], "the header says 156 bytes, the file has 155", 0, id="a-byte-too-few"
        ),
        pytest.param(
            GOOD + b"\0", "the header says 156 bytes, the file has 157", 0, id="a-byte-too-many"
        ),
        pytest.param(a_file(a_key(), version=2), "version is not 1", 4, id="version"),
        pytest.param(a_file(a_key(), header_size=40), "header's size", 8, id="header-size"),
        pytest.param(a_file(a_key(), outer_type=0), "no external key", 50, id="outer-type"),
        pytest.param(a_file(a_key(), outer_value=8), "no external key", 50, id="outer-value"),
        pytest.param(a_file(a_key(), outer_version=3), "version is not 1", 54, id="outer-version"),
        pytest.param(a_file(a_key(), after=b"\0"), "bytes after", 124, id="trailing-byte"),
        pytest.param(a_file(a_key(), after=a_file(a_key())), "bytes after", 124, id="two-files"),
        pytest.param(a_file(a_key(), second_identifier=VOLUME), "identifier", 56, id="two-ids"),
        pytest.param(a_file(), "there is no key", 80, id="no-key"),
        pytest.param(a_file(a_text(), a_volume()), "there is no key", 80, id="no-key-but-others"),
        pytest.param(a_file(a_key(), a_key()), "a second key", 124, id="two-keys"),
        pytest.param(
            a_file(a_key(), a_key(entry_type=7)), "key's entry type", 126, id="a-hidden-second-key"
        ),
        pytest.param(a_file(a_text(), a_text()), "a second description", 112, id="two-texts"),
        pytest.param(a_file(a_volume(), a_volume()), "a second volume", 104, id="two-volumes"),
        pytest.param(a_file(a_key(method=0x2000)), "method is not 0x2002", 88, id="method"),
        pytest.param(a_file(a_key(version=2)), "key's version is not 1", 86, id="key-version"),
        pytest.param(a_file(a_key(KEY[:31])), "has not 32 bytes", 80, id="short-key"),
        pytest.param(a_file(a_key(KEY + b"\0")), "has not 32 bytes", 80, id="long-key"),
        pytest.param(a_file(an_entry(0, 1, b"")), "has not 32 bytes", 80, id="empty-key"),
        pytest.param(
            a_file(a_volume(bytes(15)), a_key()), "has not 16 bytes", 80, id="short-volume"
        ),
        pytest.param(a_file(a_key(), b"\x07" + bytes(7)), "less than its", 124, id="tiny-size"),
        pytest.param(a_file(a_key(), bytes(8)), "less than its", 124, id="zero-size"),
        pytest.param(a_file(a_key(), bytes(7)), "header is cut off", 124, id="half-a-header"),
        pytest.param(a_file(a_key(), b"\xff" + bytes(7)), "an entry is cut off", 124, id="too-big"),
        pytest.param(
            a_file(an_entry(0, 2, b""), a_key()), "UTF-16 NUL", 88, id="text-without-a-nul"
        ),
        pytest.param(a_file(an_entry(0, 2, b"\0"), a_key()), "UTF-16 NUL", 88, id="half-a-nul"),
        pytest.param(a_file(an_entry(0, 2, b"A\0"), a_key()), "UTF-16 NUL", 88, id="no-nul"),
        pytest.param(
            a_file(an_entry(0, 2, b"A\0\0\0\0"), a_key()), "UTF-16 NUL", 88, id="odd-text"
        ),
        pytest.param(a_file(a_text("A\0B"), a_key()), "no UTF-16 text", 88, id="nul-in-text"),
        pytest.param(
            a_file(a_text("\x1b[2J"), a_key()), "control characters", 88, id="terminal-escape"
        ),
        pytest.param(
            a_file(an_entry(0, 2, b"\x00\xd8\0\0"), a_key()), "no UTF-16", 88, id="lone-surrogate"
        ),
        pytest.param(a_file(a_key(), created=2**64 - 1), "year 9999", 40, id="created"),
        pytest.param(a_file(a_key(), modified=2**64 - 1), "year 9999", 72, id="modified"),
        pytest.param(bytes(64 * 1024 + 1), "more than 65536 bytes", 0, id="oversized"),
    ],
)
def test_what_is_no_bek_file_is_refused_with_the_offset(
    data: bytes, problem: str, offset: int
) -> None:
    with pytest.raises(InvalidInputError, match=problem) as refused:
        BitLockerKey.from_bytes(data)
    assert f"(offset {offset})" in str(refused.value)


def test_an_outer_entry_too_short_for_its_own_fields_is_refused() -> None:
    rest = an_entry(6, 9, bytes(23))
    total = 48 + len(rest)
    header = struct.pack("<IIII16sIIQ", total, 1, 48, total, bytes(16), 1, 0, 0)
    with pytest.raises(InvalidInputError, match="external key is cut off"):
        BitLockerKey.from_bytes(header + rest)


def test_fields_that_keyhier_does_not_use_are_kept() -> None:
    data = a_file(a_text(), a_key(), counter=7, method=0x8004)
    assert BitLockerKey.from_bytes(data).to_bytes() == data


@pytest.mark.parametrize("good", [GOOD, GOOD_WINDOWS_11], ids=["156", "180"])
def test_every_truncation_is_refused(good: bytes) -> None:
    for length in range(len(good)):
        with pytest.raises(InvalidInputError):
            BitLockerKey.from_bytes(good[:length])


@given(good=st.sampled_from([GOOD, GOOD_WINDOWS_11]), more=st.binary(min_size=1, max_size=200))
def test_every_extension_is_refused(good: bytes, more: bytes) -> None:
    with pytest.raises(InvalidInputError):
        BitLockerKey.from_bytes(good + more)
    with pytest.raises(InvalidInputError):
        BitLockerKey.from_bytes(more + good)


def exactly_or_not_at_all(data: bytes) -> None:
    try:
        key = BitLockerKey.from_bytes(data)
    except InvalidInputError:
        return
    assert key.to_bytes() == data
    assert len(key.key) == 32
    repr(key)


@given(st.binary(max_size=400))
@example(GOOD)
def test_any_bytes_survive_exactly_or_are_refused(data: bytes) -> None:
    exactly_or_not_at_all(data)


@given(
    good=st.sampled_from([GOOD, GOOD_WINDOWS_11]),
    changes=st.lists(st.tuples(st.integers(0, 155), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_any_damaged_file_survives_exactly_or_is_refused(
    good: bytes, changes: list[tuple[int, int]]
) -> None:
    damaged = bytearray(good)
    for offset, value in changes:
        damaged[offset] = value
    exactly_or_not_at_all(bytes(damaged))


unknown_properties = st.builds(
    an_entry,
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.binary(max_size=60),
    st.integers(0, 0xFFFF),
)


@given(
    before=st.lists(unknown_properties, max_size=3), after=st.lists(unknown_properties, max_size=3)
)
def test_unknown_properties_survive_wherever_they_stand(
    before: list[bytes], after: list[bytes]
) -> None:
    for one in before + after:
        kind = struct.unpack_from("<HH", one, 2)
        assume(kind[1] != 1 and kind not in {(0, 2), (0x19, 0x17)})
    data = a_file(*before, a_text(), *after, a_key(), *before)
    key = BitLockerKey.from_bytes(data)
    assert key.to_bytes() == data
    assert key.key == KEY
    assert key.description == "ExternalKey"


def test_no_error_shows_what_was_read() -> None:
    # Where the text's size is wrong, the next entry's fields are read where the key stands.
    secret = b"\xde\xad" * 16
    shown = {"57005", "44510", "dead", "adde"}
    damaged = bytearray(a_file(a_text(), a_key(secret)))
    struct.pack_into("<H", damaged, 80, 32 + 16)
    for data in (bytes(damaged), secret * 5):
        with pytest.raises(InvalidInputError) as refused:
            BitLockerKey.from_bytes(data)
        assert not any(value in str(refused.value).lower() for value in shown)
        assert refused.value.__context__ is None
