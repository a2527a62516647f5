"""Finding a machine's secret: the newest, with the others, and never a guess."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keyhier.azure_disk import find
from keyhier.errors import AmbiguousError, InvalidInputError, NotFoundError
from keyhier.stored_secret import StoredSecret
from tests.azure_disk.forms import linux_tags, stored, windows_tags

START = datetime(2026, 1, 1, tzinfo=UTC)


def made(name: str, day: int, tags: dict[str, str]) -> StoredSecret:
    return stored(name=name, created=START + timedelta(days=day), content_type="BEK", tags=tags)


OLD = made("old", 1, windows_tags())
NEW = made("new", 3, windows_tags())
MIDDLE = made("middle", 2, windows_tags())
DATA = made("data", 9, windows_tags(VolumeLetter="D:\\"))
OTHER = made("other", 9, windows_tags(MachineName="web-02"))
LINUX = made("linux", 1, linux_tags())
LINUX_DATA = made(
    "linux-data", 1, linux_tags(DiskEncryptionKeyFileName="LinuxPassPhraseFileName_1_0")
)
FOREIGN = stored(name="foreign", tags={"MachineName": "web-01"})
ALL = [OLD, NEW, FOREIGN, MIDDLE, DATA, OTHER, LINUX, LINUX_DATA]


@pytest.mark.parametrize("volume", ["C:\\", "C:", "c"])
@pytest.mark.parametrize("machine", ["web-01", "WEB-01"])
def test_the_newest_is_found_and_the_others_are_listed(machine: str, volume: str) -> None:
    found = find(ALL, machine, volume)
    assert found.newest is NEW
    assert found.others == (MIDDLE, OLD)


@pytest.mark.parametrize(("volume", "expected"), [("os", LINUX), ("1_0", LINUX_DATA)])
def test_a_linux_disk_is_found_by_what_its_file_is_called(
    volume: str, expected: StoredSecret
) -> None:
    assert find(ALL, "db-01", volume).newest is expected


def test_a_machine_of_one_volume_needs_no_volume() -> None:
    assert find(ALL, "web-02").newest is OTHER


def test_promise_9_several_volumes_are_ambiguous() -> None:
    with pytest.raises(AmbiguousError) as caught:
        find(ALL, "web-01")
    assert caught.value.candidates == ("C:", "D:")


def test_promise_9_two_that_are_newest_are_ambiguous() -> None:
    twin = made("twin", 3, windows_tags())
    with pytest.raises(AmbiguousError) as caught:
        find([*ALL, twin], "web-01", "C:")
    assert caught.value.candidates == (str(NEW.id), str(twin.id))


def test_one_of_unknown_age_is_not_the_newest() -> None:
    unknown = stored(name="unknown", created=None, content_type="BEK", tags=windows_tags())
    assert find([unknown, OLD], "web-01", "C:").others == (unknown,)


@pytest.mark.parametrize(("machine", "volume"), [("web-03", None), ("web-01", "E:")])
def test_what_is_not_there_is_not_found(machine: str, volume: str | None) -> None:
    with pytest.raises(NotFoundError, match="no secret is labelled"):
        find(ALL, machine, volume)


def test_no_machine_at_all_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="host name"):
        find([stored(content_type="BEK", tags=windows_tags(MachineName=""))], "", "C:")
