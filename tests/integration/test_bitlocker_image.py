"""What keyhier writes opens a real BitLocker volume, in three independent programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from keyhier.volume import BitLockerKey
from keyhier.volume.bitlocker import ADE_DESCRIPTION
from tests.integration.programs import Opens, every_program, opens_with_cryptsetup

REAL = "4381F759-C4F8-4DE0-BB61-FC33A831BDA5"
VOLUME = UUID("5a95db04-6ebc-4ba9-99a3-15a87a3d07b2")


def test_the_real_file_survives_byte_for_byte(
    material: Path, real: BitLockerKey, tmp_path: Path
) -> None:
    path = real.write(tmp_path)
    assert path.name == f"{REAL}.BEK"
    assert path.read_bytes() == (material / "bitlk" / path.name).read_bytes()


def test_the_real_file_says_what_windows_knows(real: BitLockerKey) -> None:
    assert str(real.identifier).upper() == REAL
    assert real.description == "ExternalKey"
    assert real.volume_id is None
    assert real.created.isoformat() == "2020-09-15T07:29:49.727000+00:00"


@every_program
def test_a_file_from_identifier_and_key_alone_opens_the_volume(
    opens: Opens, real: BitLockerKey, image: Path, tmp_path: Path
) -> None:
    with real.key as key:
        path = BitLockerKey.from_parts(real.identifier, key).write(tmp_path)
    assert path.stat().st_size == 156
    assert opens(path, image)


@every_program
@pytest.mark.parametrize(
    "options",
    [{"description": ADE_DESCRIPTION}, {"description": None}, {"volume_id": VOLUME}],
    ids=["azure-disk-encryption", "no-description", "windows-11"],
)
def test_every_form_that_can_be_written_opens_the_volume(
    opens: Opens, options: dict[str, Any], real: BitLockerKey, image: Path, tmp_path: Path
) -> None:
    with real.key as key:
        path = BitLockerKey.from_parts(real.identifier, key, **options).write(tmp_path)
    assert opens(path, image)


@pytest.mark.requires_tool("cryptsetup")
def test_cryptsetup_refuses_a_file_that_names_another_volume(
    real: BitLockerKey, image: Path, tmp_path: Path
) -> None:
    # This is why the volume's identifier is left out unless the caller knows it.
    with real.key as key:
        other = BitLockerKey.from_parts(real.identifier, key, volume_id=UUID(int=1))
    assert not opens_with_cryptsetup(other.write(tmp_path), image)


@every_program
def test_a_file_that_was_read_and_written_opens_the_volume(
    opens: Opens, real: BitLockerKey, image: Path, tmp_path: Path
) -> None:
    with real.to_secret() as secret:
        path = BitLockerKey.from_bytes(secret).write(tmp_path)
    assert opens(path, image)


@every_program
def test_one_changed_byte_of_the_key_does_not_open_the_volume(
    opens: Opens, real: BitLockerKey, image: Path, tmp_path: Path
) -> None:
    with real.key as key:
        key.view()[31] ^= 1
        path = BitLockerKey.from_parts(real.identifier, key).write(tmp_path)
    assert not opens(path, image)


@every_program
def test_another_key_does_not_open_the_volume(opens: Opens, image: Path, tmp_path: Path) -> None:
    path = BitLockerKey.generate().write(tmp_path)
    assert not opens(path, image)
