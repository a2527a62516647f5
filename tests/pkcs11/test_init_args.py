"""Initialisation arguments: what a module is told when it is initialised."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from keyhier.errors import InvalidStateError

if TYPE_CHECKING:
    from keyhier.testing.prepared import PreparedToken
    from keyhier.testing.softhsm import SoftHsmToken
    from tests.pkcs11.conftest import OpenDriver

OPEN = """
import sys, keyhier
from keyhier.errors import KeyhierError
try:
    with keyhier.open(sys.argv[1]) as vault:
        print("open")
except KeyhierError as error:
    print(error)
"""


def opened(uri: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", OPEN, uri],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_a_module_is_told_its_init_args(nss_token: PreparedToken) -> None:
    assert opened(nss_token.uri) == "open\n"
    bare = nss_token.uri.partition("&init-args")[0]
    assert "no token answers to" in opened(bare) or "C_Initialize" in opened(bare)


def test_a_process_has_one_configuration_of_a_module(
    nss_token: PreparedToken, open_driver: OpenDriver
) -> None:
    open_driver(nss_token.uri)
    bare, _, told = nss_token.uri.partition("&init-args=")
    for other in (bare, f"{bare}&init-args={told}x"):
        with pytest.raises(InvalidStateError, match="other init-args"):
            open_driver(other)


def test_a_module_that_is_in_use_without_init_args_takes_none_later(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    open_driver(softhsm_token.uri)
    with pytest.raises(InvalidStateError, match="other init-args"):
        open_driver(f"{softhsm_token.uri}&init-args=anything")
