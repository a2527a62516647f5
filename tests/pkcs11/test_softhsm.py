"""SoftHSM tokens for tests."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keyhier.errors import InvalidInputError, NotFoundError
from keyhier.testing.softhsm import SoftHsm, find_softhsm_module

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsmToken
    from tests.pkcs11.conftest import OpenDriver

LATE = """
import os
import keyhier
from keyhier.errors import InvalidStateError, NotFoundError
from keyhier.testing.softhsm import SoftHsm, find_softhsm_module
module = find_softhsm_module()
try:
    keyhier.open(f"pkcs11:token=none?module-path={module}&pin-source=env:PIN")
except NotFoundError:
    pass
try:
    SoftHsm.current()
except InvalidStateError as error:
    print(error.message)
"""


def test_a_process_has_one_softhsm(softhsm: SoftHsm) -> None:
    assert SoftHsm.current() is softhsm


def test_tokens_have_labels_serials_and_pins_of_their_own(
    softhsm: SoftHsm, softhsm_token: SoftHsmToken
) -> None:
    other = softhsm.new_token()
    assert other.label != softhsm_token.label
    assert other.serial != softhsm_token.serial
    assert other.pin != softhsm_token.pin
    assert stat.S_IMODE(other.pin_file.stat().st_mode) == 0o600
    softhsm.remove(other)
    assert not other.pin_file.exists()


def test_promise_7_no_pin_in_the_repr_or_the_uri(softhsm_token: SoftHsmToken) -> None:
    shown = f"{softhsm_token!r} {softhsm_token.uri}"
    assert softhsm_token.pin not in shown
    assert softhsm_token.so_pin not in shown


def test_a_removed_token_is_gone_and_leaves_no_file(
    softhsm: SoftHsm, open_driver: OpenDriver
) -> None:
    before = {place.name for place in (softhsm.folder / "tokens").iterdir()}
    token = softhsm.new_token("label with spaces, ünïcode")
    driver = open_driver(token.uri)
    assert driver.vault == token.label
    softhsm.remove(token)
    assert {place.name for place in (softhsm.folder / "tokens").iterdir()} == before
    with pytest.raises(NotFoundError):
        open_driver(f"pkcs11:serial={token.serial}?{softhsm_query(token)}")


def softhsm_query(token: SoftHsmToken) -> str:
    return f"module-path={token.module_path}&pin-source=env:NONE"


def test_a_label_has_at_most_32_bytes(softhsm: SoftHsm) -> None:
    with pytest.raises(InvalidInputError, match="32 bytes"):
        softhsm.new_token("ü" * 17)


def test_the_module_may_be_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "module.so"
    module.touch()
    monkeypatch.setenv("SOFTHSM2_MODULE", str(module))
    assert find_softhsm_module() == module


def test_a_module_that_is_in_use_already_is_refused(softhsm: SoftHsm) -> None:
    done = subprocess.run([sys.executable, "-c", LATE], check=True, capture_output=True, text=True)
    assert "with another configuration" in done.stdout


def test_the_folder_is_gone_when_the_process_ends(softhsm: SoftHsm) -> None:
    program = (
        "from keyhier.testing.softhsm import SoftHsm; softhsm = SoftHsm.current(); "
        "softhsm.new_token(); print(softhsm.folder)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert not Path(done.stdout.strip()).exists()
