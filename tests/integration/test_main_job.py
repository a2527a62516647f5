"""The main job, end to end: a disk key wrapped under a KEK, and back, and it opens the disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import keyhier
from keyhier import BitLockerKey, LinuxPassphrase, UnwrapError, Vault, WrappedKey
from keyhier.errors import InvalidInputError
from keyhier.testing.softhsm import SoftHsmToken
from tests.integration.programs import Opens, every_program, format_luks, opens_luks

CONTEXT = {"vm": "web-01", "volume": "C:"}


@pytest.fixture(params=["memory", "softhsm"])
def vault(request: pytest.FixtureRequest) -> Vault:
    found = request.getfixturevalue(f"{request.param}_vault")
    assert isinstance(found, Vault)
    return found


def _main_job(uri: str, folder: Path) -> None:
    """Do what the documentation shows first."""
    with keyhier.open(uri) as vault:
        kek = vault.create_key("vm-kek", "RSA-3072")
        bek = keyhier.BitLockerKey.generate(random=vault)
        wrapped = kek.wrap(bek, context={"vm": "web-01", "volume": "C:"})
        text = str(wrapped)

        again = keyhier.WrappedKey.parse(text)
        with vault.unwrap(again, context={"vm": "web-01", "volume": "C:"}) as secret:
            path = keyhier.BitLockerKey.from_bytes(secret).write(folder)

    assert "\n" not in text
    assert path == folder / f"{str(bek.identifier).upper()}.BEK"
    assert path.stat().st_mode & 0o777 == 0o600
    with bek.to_secret() as original:
        assert path.read_bytes() == original.reveal()


def test_what_a_user_writes_works_in_memory(tmp_path: Path) -> None:
    _main_job("memory:", tmp_path)


def test_what_a_user_writes_works_on_a_token(softhsm_token: SoftHsmToken, tmp_path: Path) -> None:
    _main_job(softhsm_token.uri, tmp_path)


def test_an_envelope_opens_in_another_process_and_session(
    softhsm_token: SoftHsmToken, tmp_path: Path
) -> None:
    with keyhier.open(softhsm_token.uri) as vault:
        text = str(vault.create_key("kek", "AES-256").wrap(b"secret", context=CONTEXT))
    (tmp_path / "text").write_text(text)
    code = (
        "import sys, pathlib, keyhier\n"
        "with keyhier.open(sys.argv[1]) as vault:\n"
        "    text = pathlib.Path(sys.argv[2]).read_text()\n"
        f"    with vault.unwrap(text, context={CONTEXT!r}) as secret:\n"
        "        print(secret.reveal())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, softhsm_token.uri, tmp_path / "text"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "b'secret'\n"


def _round_trip(vault: Vault, bek: BitLockerKey, spec: str) -> BitLockerKey:
    """Wrap a BEK, keep the envelope as text, and get the BEK back."""
    text = str(vault.create_key("vm-kek", spec).wrap(bek, context=CONTEXT))
    wrapped = WrappedKey.parse(text)
    assert wrapped.content_type == BitLockerKey.content_type
    with vault.unwrap(wrapped, context=CONTEXT) as secret:
        return BitLockerKey.from_bytes(secret)


@every_program
@pytest.mark.parametrize("spec", ["RSA-2048", "AES-256"])
def test_a_bek_opens_its_volume_before_and_after_it_was_wrapped(
    opens: Opens, spec: str, vault: Vault, real: BitLockerKey, image: Path, tmp_path: Path
) -> None:
    with real.key as key:
        made = BitLockerKey.from_parts(real.identifier, key)
    before, after = tmp_path / "before", tmp_path / "after"
    for folder in (before, after):
        folder.mkdir()
    assert opens(made.write(before), image)
    path = _round_trip(vault, made, spec).write(after)
    assert path.stat().st_size == 156
    assert opens(path, image)

    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(changed)
    assert not opens(path, image)


def test_a_changed_envelope_gives_no_bek(vault: Vault, real: BitLockerKey) -> None:
    text = str(vault.create_key("vm-kek", "AES-256").wrap(real, context=CONTEXT))
    for place in range(text.rindex(".") - 200, len(text) - 1, 11):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises((UnwrapError, InvalidInputError)):
            vault.unwrap(changed, context=CONTEXT)


@pytest.mark.requires_tool("cryptsetup")
@pytest.mark.parametrize("spec", ["RSA-2048", "AES-256"])
def test_a_passphrase_opens_its_volume_after_it_was_wrapped(
    spec: str, vault: Vault, tmp_path: Path
) -> None:
    passphrase = LinuxPassphrase.generate(random=vault)
    passphrase.write(tmp_path / "key")
    image = format_luks(tmp_path / "image", tmp_path / "key")
    text = str(vault.create_key("vm-kek", spec).wrap(passphrase, context=CONTEXT))
    with vault.unwrap(text, context=CONTEXT) as secret:
        LinuxPassphrase.from_bytes(secret).write(tmp_path / "again")
    assert opens_luks(image, tmp_path / "again")

    changed = bytearray((tmp_path / "again").read_bytes())
    changed[0] ^= 1
    (tmp_path / "again").write_bytes(changed)
    assert not opens_luks(image, tmp_path / "again")
