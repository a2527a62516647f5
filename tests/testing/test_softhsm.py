"""SoftHSM tokens made inside the process."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

import keyhier
from keyhier.errors import AmbiguousError, InvalidInputError, KeyhierError, NotFoundError
from keyhier.testing.softhsm import SoftHsm, find_softhsm_module


def test_a_token_can_be_opened_at_once_and_is_gone_when_removed(softhsm: SoftHsm) -> None:
    token = softhsm.new_token()
    with keyhier.open(token.uri) as vault:
        assert list(vault.keys()) == []
    assert stat.S_IMODE(token.pin_file.stat().st_mode) == 0o600
    softhsm.remove(token)
    assert not token.pin_file.exists()
    with pytest.raises(KeyhierError):
        keyhier.open(token.uri)


def test_tokens_have_labels_of_their_own(softhsm: SoftHsm) -> None:
    one, two = softhsm.new_token(), softhsm.new_token()
    assert one.label != two.label
    assert one.serial != two.serial
    softhsm.remove(one)
    with keyhier.open(two.uri) as vault:
        vault.create_key("kek", "AES-256")
    softhsm.remove(two)


def test_two_tokens_may_share_a_label(softhsm: SoftHsm) -> None:
    one, two = (softhsm.new_token("the same label") for _ in range(2))
    with pytest.raises(AmbiguousError):
        keyhier.open(one.uri)
    softhsm.remove(two)
    with keyhier.open(one.uri) as vault:
        assert vault.capabilities.scheme == "pkcs11"
    softhsm.remove(one)


def test_a_label_that_is_too_long_is_refused(softhsm: SoftHsm) -> None:
    with pytest.raises(InvalidInputError):
        softhsm.new_token("ä" * 17)


def test_no_pin_shows(softhsm: SoftHsm) -> None:
    token = softhsm.new_token()
    for text in (repr(token), token.uri):
        assert token.pin not in text
        assert token.so_pin not in text
    softhsm.remove(token)


def test_the_module_is_found_where_the_environment_says_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, softhsm: SoftHsm
) -> None:
    assert find_softhsm_module() == softhsm.module_path
    monkeypatch.setenv("SOFTHSM2_MODULE", "/nowhere/libsofthsm2.so")
    assert find_softhsm_module() is None
    monkeypatch.setenv("SOFTHSM2_MODULE", str(softhsm.module_path))
    assert find_softhsm_module() == softhsm.module_path


LATE = """
import sys
from keyhier.errors import InvalidStateError
from keyhier.testing.softhsm import SoftHsm, find_softhsm_module
first = SoftHsm(find_softhsm_module())
try:
    SoftHsm(first.module_path)
except InvalidStateError:
    print(first.folder)
"""


@pytest.mark.usefixtures("softhsm")
def test_a_second_configuration_is_refused_and_the_folder_is_gone_afterwards() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True)
    folder = Path(done.stdout.strip())
    assert folder.is_absolute()
    assert not folder.exists()


def test_where_it_is_not_installed_that_is_said() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from keyhier.testing.softhsm import SoftHsm; SoftHsm.current()"],
        env={"SOFTHSM2_MODULE": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert NotFoundError.__name__ in done.stderr
    assert "install softhsm2" in done.stderr
