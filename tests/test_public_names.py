"""The public names: all there, where the documentation says, loaded when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import keyhier
from keyhier import errors

# What the documentation promises so far; the hierarchy comes later.
PROMISED = {
    *("open", "Vault", "Key", "KeyId", "WrappedKey", "SecretBytes", "BitLockerKey"),
    *("LinuxPassphrase", "Placement", "check_placement"),
    *errors.__all__,
}


def test_every_promised_name_is_public() -> None:
    assert set(keyhier.__all__) >= PROMISED


@pytest.mark.parametrize("name", keyhier.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(keyhier, name)
    assert getattr(keyhier, name) is found
    assert found.__doc__
    assert found.__module__.startswith("keyhier.")


def test_dir_lists_the_public_names() -> None:
    assert dir(keyhier) == sorted(keyhier.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'keyhier' has no attribute 'opne'"):
        keyhier.opne  # noqa: B018  # It is the point.


def test_all_names_come_with_a_star() -> None:
    code = "from keyhier import *; import keyhier; print(open is keyhier.open, Vault, SecretBytes)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True <class 'keyhier.vault.Vault'>")


def test_a_name_loads_no_more_than_its_own_module() -> None:
    code = "import sys; from keyhier import UnwrapError; print('keyhier.vault' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
