"""Independent programs that open volumes with what keyhier wrote."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest


def opens_with_cryptsetup(file: Path, image: Path) -> bool:
    command = ["cryptsetup", "open", "--type", "bitlk", "--test-passphrase", "--key-file"]
    return subprocess.run([*command, file, image], capture_output=True, check=False).returncode == 0


def opens_with_bdeinfo(file: Path, image: Path) -> bool:
    done = subprocess.run(["bdeinfo", "-s", file, image], capture_output=True, check=False)
    return done.returncode == 0 and b"Unable to unlock" not in done.stdout + done.stderr


def opens_with_pybde(file: Path, image: Path) -> bool:
    # It may be missing, and then only its own tests are skipped.
    volume = import_module("pybde").volume()
    volume.read_startup_key(str(file))
    try:
        volume.open(str(image))
    except OSError:
        # So it answers where the volume knows no key of that identifier.
        return False
    try:
        # What is decrypted starts with the boot sector of NTFS.
        return not volume.is_locked() and bytes(volume.read_buffer(11)[3:7]) == b"NTFS"
    finally:
        volume.close()


Opens = Callable[[Path, Path], bool]
every_program = pytest.mark.parametrize(
    "opens",
    [
        pytest.param(
            opens_with_cryptsetup, id="cryptsetup", marks=pytest.mark.requires_tool("cryptsetup")
        ),
        pytest.param(opens_with_bdeinfo, id="bdeinfo", marks=pytest.mark.requires_tool("bdeinfo")),
        pytest.param(opens_with_pybde, id="pybde", marks=pytest.mark.requires_module("pybde")),
    ],
)


def format_luks(image: Path, key_file: Path) -> Path:
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


def opens_luks(image: Path, key_file: Path) -> bool:
    done = subprocess.run(
        ["cryptsetup", "open", "--test-passphrase", "--key-file", key_file, image],
        check=False,
        capture_output=True,
    )
    return done.returncode == 0
