"""What keyhier writes formats and opens a real LUKS2 volume."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from keyhier.volume import LinuxPassphrase
from tests.integration.programs import format_luks, opens_luks

pytestmark = pytest.mark.requires_tool("cryptsetup")


@pytest.fixture(params=["generated", "a user's own"])
def passphrase(request: pytest.FixtureRequest) -> LinuxPassphrase:
    if request.param == "generated":
        return LinuxPassphrase.generate()
    return LinuxPassphrase.from_text("correct horse, schlüssel ☃")


def test_the_passphrase_opens_what_it_formatted(
    passphrase: LinuxPassphrase, tmp_path: Path
) -> None:
    passphrase.write(tmp_path / "first")
    image = format_luks(tmp_path / "volume.img", tmp_path / "first")
    with passphrase.to_secret() as secret:
        LinuxPassphrase.from_bytes(secret).write(tmp_path / "again")
    assert opens_luks(image, tmp_path / "again")


def test_it_opens_at_a_prompt_as_well_as_from_a_file(
    passphrase: LinuxPassphrase, tmp_path: Path
) -> None:
    passphrase.write(tmp_path / "key")
    image = format_luks(tmp_path / "volume.img", tmp_path / "key")
    # Read from standard input, as at a prompt, the passphrase ends at the line's.
    done = subprocess.run(
        ["cryptsetup", "open", "--test-passphrase", image],
        input=passphrase.to_bytes().reveal() + b"\n",
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr


def test_another_passphrase_or_a_line_break_does_not_open_it(
    passphrase: LinuxPassphrase, tmp_path: Path
) -> None:
    passphrase.write(tmp_path / "key")
    image = format_luks(tmp_path / "volume.img", tmp_path / "key")
    LinuxPassphrase.generate().write(tmp_path / "other")
    assert not opens_luks(image, tmp_path / "other")
    (tmp_path / "line").write_bytes((tmp_path / "key").read_bytes() + b"\n")
    assert not opens_luks(image, tmp_path / "line")
