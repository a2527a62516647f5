"""What keyhier writes formats and opens a real LUKS2 volume."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from keyhier.volume import LinuxPassphrase

pytestmark = pytest.mark.requires_tool("cryptsetup")


def a_volume(image: Path, key_file: Path) -> Path:
    with image.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    # The cheapest derivation: what is tested is the passphrase.
    derivation = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]
    subprocess.run(
        ["cryptsetup", "luksFormat", "--type", "luks2", "-q", *derivation, image, key_file],
        check=True,
        capture_output=True,
    )
    return image


def opens(image: Path, key_file: Path) -> bool:
    done = subprocess.run(
        ["cryptsetup", "open", "--test-passphrase", "--key-file", key_file, image],
        check=False,
        capture_output=True,
    )
    return done.returncode == 0


@pytest.fixture(params=["generated", "a user's own"])
def passphrase(request: pytest.FixtureRequest) -> LinuxPassphrase:
    if request.param == "generated":
        return LinuxPassphrase.generate()
    return LinuxPassphrase.from_text("correct horse, schlüssel ☃")


def test_the_passphrase_opens_what_it_formatted(
    passphrase: LinuxPassphrase, tmp_path: Path
) -> None:
    passphrase.write(tmp_path / "first")
    image = a_volume(tmp_path / "volume.img", tmp_path / "first")
    with passphrase.to_secret() as secret:
        LinuxPassphrase.from_bytes(secret).write(tmp_path / "again")
    assert opens(image, tmp_path / "again")


def test_it_opens_at_a_prompt_as_well_as_from_a_file(
    passphrase: LinuxPassphrase, tmp_path: Path
) -> None:
    passphrase.write(tmp_path / "key")
    image = a_volume(tmp_path / "volume.img", tmp_path / "key")
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
    image = a_volume(tmp_path / "volume.img", tmp_path / "key")
    LinuxPassphrase.generate().write(tmp_path / "other")
    assert not opens(image, tmp_path / "other")
    (tmp_path / "line").write_bytes((tmp_path / "key").read_bytes() + b"\n")
    assert not opens(image, tmp_path / "line")
