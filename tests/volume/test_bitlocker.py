"""BitLocker keys as values: making, naming, comparing, writing and wiping them."""

from __future__ import annotations

import copy
import pickle
import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.errors import (
    AlreadyExistsError,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from keyhier.secret import SecretBytes, Wrappable
from keyhier.volume import BitLockerKey, LinuxPassphrase
from keyhier.volume.bitlocker import ADE_DESCRIPTION

IDENTIFIER = UUID("4381f759-c4f8-4de0-bb61-fc33a831bda5")
KEY = bytes(range(100, 132))
MOMENT = datetime(2024, 2, 29, 12, 30, 15, 123456, UTC)

texts = st.text(
    st.characters(exclude_categories=("Cc", "Cs")),
    max_size=255,
)


class Source:
    """A random source that gives what it is told to."""

    def __init__(self, answer: bytes) -> None:
        self.given = SecretBytes(answer)
        self.asked: list[int] = []

    def random_bytes(self, length: int) -> SecretBytes:
        self.asked.append(length)
        return self.given


def test_a_generated_key_has_the_common_form_and_reads_back() -> None:
    key = BitLockerKey.generate()
    with key.to_bytes() as content:
        assert len(content) == 156
        again = BitLockerKey.from_bytes(content)
    assert again == key
    assert again.identifier == key.identifier
    assert again.identifier.version == 4
    assert again.description == "ExternalKey"
    assert again.volume_id is None
    assert again.created == again.modified == key.created
    assert abs(datetime.now(UTC) - key.created) < timedelta(minutes=5)


def test_the_windows_11_form_carries_the_volume() -> None:
    volume = uuid4()
    key = BitLockerKey.generate(volume_id=volume)
    assert len(key.to_bytes()) == 180
    assert BitLockerKey.from_bytes(key.to_bytes()).volume_id == volume


def test_azure_disk_encryptions_description_is_an_option() -> None:
    key = BitLockerKey.generate(description=ADE_DESCRIPTION)
    assert BitLockerKey.from_bytes(key.to_bytes()).description == (
        "BitLocker Extension Key Protector"
    )


def test_two_generated_keys_differ() -> None:
    one, other = BitLockerKey.generate(), BitLockerKey.generate()
    assert one != other
    assert one.key != other.key
    assert one.identifier != other.identifier


def test_the_key_comes_from_the_given_source_and_is_wiped_there() -> None:
    source = Source(KEY)
    assert BitLockerKey.generate(random=source).key == KEY
    assert source.asked == [32]
    assert source.given.wiped


@pytest.mark.parametrize("answer", [b"", KEY[:31], KEY + b"\1", bytes(32)])
def test_a_broken_random_source_is_found(answer: bytes) -> None:
    source = Source(answer)
    with pytest.raises(IntegrityError, match="random source gave"):
        BitLockerKey.generate(random=source)
    assert source.given.wiped


def test_identifiers_are_mixed_endian_in_the_file() -> None:
    content = BitLockerKey.from_parts(IDENTIFIER, KEY).to_bytes().reveal()
    mixed = bytes.fromhex("59f78143 f8c4 e04d bb61 fc33a831bda5")
    assert content[16:32] == content[56:72] == mixed


@given(
    identifier=st.uuids(),
    key=st.binary(min_size=32, max_size=32),
    description=st.none() | texts,
    volume=st.none() | st.uuids(),
    created=st.datetimes(datetime(1601, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # It must be naive here.
)
def test_what_goes_in_comes_out(
    identifier: UUID, key: bytes, description: str | None, volume: UUID | None, created: datetime
) -> None:
    made = BitLockerKey.from_parts(
        identifier, key, description=description, volume_id=volume, created=created
    )
    again = BitLockerKey.from_bytes(made.to_bytes())
    assert again == made
    assert again.key == key
    assert (again.identifier, again.description, again.volume_id) == (
        identifier,
        description,
        volume,
    )
    assert again.created == again.modified == created


def test_times_of_any_zone_are_kept_in_utc() -> None:
    local = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    key = BitLockerKey.from_parts(IDENTIFIER, KEY, created=local)
    assert key.created == MOMENT
    assert key.created.tzinfo is UTC


@pytest.mark.parametrize("source", [KEY, bytearray(KEY), SecretBytes(KEY)], ids=repr)
def test_a_key_is_taken_as_any_bytes_and_stays_the_callers(
    source: bytes | bytearray | SecretBytes,
) -> None:
    assert BitLockerKey.from_parts(IDENTIFIER, source).key == KEY
    assert source == KEY


@pytest.mark.parametrize("length", [0, 16, 31, 33, 156])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidInputError, match="32 bytes"):
        BitLockerKey.from_parts(IDENTIFIER, b"k" * length)


@pytest.mark.parametrize("description", ["x" * 256, "a\0b", "a\nb", "\x1b[2J", "\x85", "\ud800"])
def test_a_description_that_has_no_place_is_refused(description: str) -> None:
    with pytest.raises(InvalidInputError, match="description"):
        BitLockerKey.generate(description=description)


@pytest.mark.parametrize(
    "created",
    [MOMENT.replace(tzinfo=None), datetime(1600, 12, 31, tzinfo=UTC)],
    ids=["naive", "before-1601"],
)
def test_a_time_that_has_no_place_is_refused(created: datetime) -> None:
    with pytest.raises(InvalidInputError, match="time"):
        BitLockerKey.from_parts(IDENTIFIER, KEY, created=created)


def test_what_is_not_made_of_bytes_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="made of bytes"):
        BitLockerKey.from_bytes("text")  # type: ignore[arg-type]  # That is what is tested.
    with pytest.raises(InvalidInputError, match="made of bytes"):
        BitLockerKey.from_parts(IDENTIFIER, "x" * 32)  # type: ignore[arg-type]  # As above.


def test_it_is_what_a_kek_can_wrap() -> None:
    key = BitLockerKey.generate()
    wrappable: Wrappable = key
    assert wrappable.content_type == "vnd.keyhier.bitlocker"
    with wrappable.to_secret() as secret:
        assert BitLockerKey.from_bytes(secret) == key
    assert key.to_bytes()


def test_equal_files_are_equal_and_other_things_are_not() -> None:
    one = BitLockerKey.from_parts(IDENTIFIER, KEY, created=MOMENT)
    assert one == BitLockerKey.from_parts(IDENTIFIER, KEY, created=MOMENT)
    assert one != BitLockerKey.from_parts(IDENTIFIER, KEY[::-1], created=MOMENT)
    assert one != BitLockerKey.from_parts(uuid4(), KEY, created=MOMENT)
    assert one != KEY
    assert one != LinuxPassphrase.from_bytes(KEY)


def test_promise_6_it_shows_its_name_and_never_its_key() -> None:
    key = BitLockerKey.from_parts(IDENTIFIER, b"A" * 32, description="ExternalKey")
    assert repr(key) == str(key)
    assert repr(key) == "<BitLockerKey 4381F759-C4F8-4DE0-BB61-FC33A831BDA5 'ExternalKey'>"


def test_promise_6_a_wiped_key_is_gone_and_its_name_stays() -> None:
    with BitLockerKey.from_parts(IDENTIFIER, KEY) as key:
        view = key._content.view()
    assert bytes(view) == bytes(156)
    for use in (key.to_bytes, key.to_secret, lambda: key.key, key.__enter__):
        with pytest.raises(InvalidStateError):
            use()
    assert key.identifier == IDENTIFIER
    assert repr(key).endswith("'ExternalKey': wiped>")
    key.wipe()


def test_promise_6_it_is_not_pickled_copied_hashed_or_changed() -> None:
    key = BitLockerKey.generate()
    with pytest.raises(TypeError):
        pickle.dumps(key)
    with pytest.raises(TypeError):
        copy.deepcopy(key)
    with pytest.raises(TypeError):
        hash(key)
    with pytest.raises(AttributeError):
        key.identifier = IDENTIFIER  # type: ignore[misc]  # That is what is tested.


def test_the_file_has_the_name_that_windows_looks_for_and_mode_0600(tmp_path: Path) -> None:
    key = BitLockerKey.from_parts(IDENTIFIER, KEY)
    path = key.write(tmp_path)
    assert path == tmp_path / "4381F759-C4F8-4DE0-BB61-FC33A831BDA5.BEK" == tmp_path / key.filename
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [path] == list(tmp_path.iterdir())
    assert BitLockerKey.read(path) == key


def test_an_existing_file_is_kept_unless_asked(tmp_path: Path) -> None:
    key = BitLockerKey.from_parts(IDENTIFIER, KEY)
    path = tmp_path / key.filename
    path.write_bytes(b"before")
    with pytest.raises(AlreadyExistsError, match="exists"):
        key.write(tmp_path)
    assert path.read_bytes() == b"before"
    key.write(tmp_path, overwrite=True)
    assert BitLockerKey.read(path) == key


def test_a_wiped_key_writes_nothing(tmp_path: Path) -> None:
    key = BitLockerKey.generate()
    key.wipe()
    with pytest.raises(InvalidStateError):
        key.write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_reading_refuses_what_is_missing_or_too_long(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        BitLockerKey.read(tmp_path / "missing.BEK")
    path = tmp_path / "large.BEK"
    path.write_bytes(bytes(64 * 1024 + 1))
    with pytest.raises(InvalidInputError, match="65536"):
        BitLockerKey.read(path)
