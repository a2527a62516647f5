"""A LUKS2 volume in a file, as the proof that a recovered passphrase is the one that was made."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import attrs

from keyhier.volume import LinuxPassphrase

__all__ = ["LuksProof", "prove"]

_IMAGE_BYTES: Final = 20 * 1024 * 1024
# The cheapest derivation that LUKS2 takes: a generated passphrase needs no slow one.
_DERIVATION: Final = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")


@attrs.frozen
class LuksProof:
    """What became of it.

    Attributes:
        opened: whether the volume opened, or None where there was no attempt.
        skipped: why there was no attempt, or None.
    """

    opened: bool | None = None
    skipped: str | None = None


def prove(folder: Path, made: LinuxPassphrase, recovered: LinuxPassphrase) -> LuksProof:
    """Format a small file in ``folder`` with one passphrase and try to open it with the other.

    The passphrases reach cryptsetup through files of mode 0600, never as arguments.
    """
    # It lives where the PATH of an ordinary user does not look.
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    program = shutil.which("cryptsetup", path=path)
    if program is None:
        return LuksProof(skipped="cryptsetup is not installed (Debian: cryptsetup-bin)")
    image, first, second = (folder / name for name in ("volume.img", "made.key", "recovered.key"))
    made.write(first)
    recovered.write(second)
    with image.open("wb") as file:
        file.truncate(_IMAGE_BYTES)
    formatted = _run(
        program, "luksFormat", "--batch-mode", "--type", "luks2", *_DERIVATION, image, first
    )
    if formatted.returncode != 0:
        reason = (formatted.stderr.strip().splitlines() or ["no reason is given"])[-1]
        return LuksProof(skipped=f"cryptsetup cannot format a file here: {reason}")
    opened = _run(program, "open", "--test-passphrase", "--key-file", second, image)
    return LuksProof(opened=opened.returncode == 0)


def _run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # The arguments are constants and paths made here.
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
