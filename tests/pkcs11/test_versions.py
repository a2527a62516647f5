"""The CKA_ID that tells versions apart."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from keyhier.algorithms import WrapAlgorithm
from keyhier_pkcs11.versions import VersionId


def test_an_id_is_a_uuid_of_version_8_that_says_when_and_what_for() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    version = VersionId.new(WrapAlgorithm.A256KW)
    parsed = uuid.UUID(bytes=version.value)
    assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)
    assert version.value.hex()[12:16] == "80a3"
    assert before <= version.created <= datetime.now(UTC)


def test_what_is_written_is_read() -> None:
    for algorithm in (None, WrapAlgorithm.A128KW, WrapAlgorithm.A256GCM, WrapAlgorithm.A256KWP):
        version = VersionId.new(algorithm)
        assert VersionId.read(version.value) == version
        assert version.algorithm is algorithm


def test_versions_made_within_one_millisecond_still_sort() -> None:
    versions = [VersionId.new(None)]
    for _ in range(200):
        versions.append(VersionId.new(None, after=versions[-1]))
    values = [version.value for version in versions]
    assert values == sorted(values)
    assert len({version.milliseconds for version in versions}) == len(versions)


def test_a_version_follows_one_from_the_future() -> None:
    future = VersionId.read((2**44 << 80 | 0x8001 << 64 | 0b10 << 62).to_bytes(16))
    assert future is not None
    assert VersionId.new(None, after=future).value > future.value


def test_a_time_that_no_calendar_reaches_is_not_ours() -> None:
    assert VersionId.read(((2**48 - 1) << 80 | 0x8001 << 64 | 0b10 << 62).to_bytes(16)) is None


@given(st.binary(max_size=20))
def test_other_ids_are_read_as_nothing_or_as_themselves(value: bytes) -> None:
    version = VersionId.read(value)
    assert version is None or (version.value == value and version.created.year < 9999)


def test_a_version_that_is_made_for_a_tag_tells_so() -> None:
    first = VersionId.new(None)
    tagged = VersionId.new(None, first, "job")
    assert tagged.value > first.value
    assert tagged.is_for("job")
    assert not tagged.is_for("another")
    assert not first.is_for("job")
    assert VersionId.read(tagged.value) == tagged
