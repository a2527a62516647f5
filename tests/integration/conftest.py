"""The real BitLocker volume and the key that Windows made for it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest

from keyhier import BitLockerKey

REAL: Final = "4381F759-C4F8-4DE0-BB61-FC33A831BDA5"


@pytest.fixture(scope="session")
def image(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume of 100 MiB made by Windows, a sparse file; nothing writes to it."""
    folder = tmp_path_factory.mktemp("bitlk")
    packed = material / "bitlk" / "startup-key.tar.xz"
    subprocess.run(["tar", "xJSf", packed, "-C", folder], check=True)
    (unpacked,) = folder.glob("*.img")
    return unpacked


@pytest.fixture
def real(material: Path) -> BitLockerKey:
    """The key that Windows made for the image."""
    return BitLockerKey.read(material / "bitlk" / f"{REAL}.BEK")
