"""What a test needs of the vault: where that is missing, the vault must say so, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Final

import pytest

from keyhier.algorithms import ENVELOPE_ALGORITHMS, KeyType, WrapAlgorithm
from keyhier.errors import UnsupportedError
from keyhier.testing.contract.under_test import VaultUnderTest

__all__ = [
    "ENVELOPE",
    "RAW",
    "each_algorithm",
    "each_family",
    "needs",
]

ENVELOPE: Final = sorted(ENVELOPE_ALGORITHMS)
RAW: Final = sorted(WrapAlgorithm)

Test = Callable[..., None]


def needs(*capabilities: str) -> Callable[[Test], Test]:
    """Say which fields of :class:`~keyhier.capabilities.Capabilities` a test needs.

    What its arguments ``algorithm`` and ``family`` mean is needed too. Where the vault lacks any
    of it, the test passes if, and only if, the vault refuses with an UnsupportedError.
    """

    def decorate(test: Test) -> Test:
        @wraps(test)
        def run(*arguments: Any, **named: Any) -> None:
            if _has(named["under_test"], capabilities, named):
                test(*arguments, **named)
            else:
                with pytest.raises(UnsupportedError):
                    test(*arguments, **named)

        return run

    return decorate


def _has(under_test: VaultUnderTest, capabilities: Iterable[str], named: dict[str, Any]) -> bool:
    able = all(getattr(under_test.capabilities, capability) for capability in capabilities)
    if "algorithm" in named:
        able = able and under_test.can(named["algorithm"])
    if "family" in named:
        able = able and under_test.can_family(named["family"])
    return able


def each_algorithm(
    algorithms: Iterable[WrapAlgorithm], *capabilities: str
) -> Callable[[Test], Test]:
    """Run a test for each algorithm; it :func:`needs` that, and the capabilities."""
    parametrize = pytest.mark.parametrize("algorithm", list(algorithms))
    return lambda test: parametrize(needs(*capabilities)(test))


def each_family(*capabilities: str) -> Callable[[Test], Test]:
    """Run a test for RSA and for AES keys; it :func:`needs` these, and the capabilities."""
    parametrize = pytest.mark.parametrize("family", list(KeyType))
    return lambda test: parametrize(needs(*capabilities)(test))
