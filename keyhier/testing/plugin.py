"""The pytest plug-in: fixtures with vaults to test against, and the options of the contract.

It is loaded wherever keyhier is installed, so at its top it imports nothing but pytest.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from keyhier.testing.softhsm import SoftHsm, SoftHsmToken
    from keyhier.vault import Vault

__all__ = ["memory_vault", "softhsm", "softhsm_token", "softhsm_vault"]

# The contract's modules are not test modules, and their assertions shall explain themselves too.
pytest.register_assert_rewrite("keyhier.testing.contract")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the contract."""
    group = parser.getgroup("keyhier")
    group.addoption(
        "--keyhier-vault",
        metavar="URI",
        help="the vault that `--pyargs keyhier.testing.contract` holds to the contract",
    )
    group.addoption(
        "--keyhier-deviations",
        metavar="FILE",
        help="what that vault is known to fail: a TOML file of [[deviation]] tables (test, raises, "
        "reason), or the name of a list that keyhier ships: softhsm",
    )


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> Generator[None, object, object]:
    """Collect the subclasses of the contract with their deviations."""
    found = yield
    if isinstance(found, pytest.Class) and "keyhier.testing.contract" in sys.modules:
        from keyhier.testing.collector import ContractClass  # noqa: PLC0415  # See above.

        return ContractClass.instead_of(found)
    return found


def pytest_collection_finish(session: pytest.Session) -> None:
    """End the run in one line where the contract's vault does not open: no test could pass."""
    uri = session.config.getoption("--keyhier-vault")
    # A worker of pytest-xdist cannot end the run; there every test tells the error.
    worker = hasattr(session.config, "workerinput")
    if uri is None or worker or "keyhier.testing.contract" not in sys.modules:
        return
    import keyhier  # noqa: PLC0415  # See above.
    from keyhier.testing.collector import ContractClass  # noqa: PLC0415

    if any(item.getparent(ContractClass) for item in session.items):
        try:
            keyhier.open(uri).close()
        except keyhier.KeyhierError as error:
            reason = f"the vault of the contract does not open: {error}"
        else:
            return
        pytest.exit(reason, returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.fixture
def memory_vault() -> Iterator[Vault]:
    """A new and empty memory vault, open."""
    import keyhier  # noqa: PLC0415  # See above.

    with keyhier.open("memory:") as vault:
        yield vault


@pytest.fixture(scope="session")
def softhsm() -> SoftHsm:
    """SoftHSM in this process; skips where it is not installed, and fails there with CI=true."""
    from keyhier.errors import NotFoundError  # noqa: PLC0415  # See above.
    from keyhier.testing.softhsm import SoftHsm  # noqa: PLC0415

    try:
        return SoftHsm.current()
    except NotFoundError as error:
        reason = str(error)
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (with CI=true nothing is skipped)")
    pytest.skip(reason)


@pytest.fixture
def softhsm_token(softhsm: SoftHsm) -> Iterator[SoftHsmToken]:
    """A fresh SoftHSM token with nothing on it, deleted afterwards."""
    token = softhsm.new_token()
    yield token
    softhsm.remove(token)


@pytest.fixture
def softhsm_vault(softhsm_token: SoftHsmToken) -> Iterator[Vault]:
    """A vault on a fresh SoftHSM token, open."""
    import keyhier  # noqa: PLC0415  # See above.

    with keyhier.open(softhsm_token.uri) as vault:
        yield vault
