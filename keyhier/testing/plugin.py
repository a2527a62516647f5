"""The pytest plug-in: fixtures with vaults to test against, and the options of the contract.

It is loaded wherever keyhier is installed, so at its top it imports nothing but pytest.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from keyhier.testing.keyvault import KeyVault
    from keyhier.testing.p11_kit import NetworkHsm
    from keyhier.testing.prepared import PreparedToken
    from keyhier.testing.softhsm import SoftHsm, SoftHsmToken
    from keyhier.vault import Vault

    OpencryptokiToken = Callable[[], AbstractContextManager[PreparedToken]]

__all__ = [
    "keyvault",
    "managed_hsm",
    "memory_vault",
    "network_hsm",
    "nss_token",
    "opencryptoki",
    "opencryptoki_token",
    "signing_key",
    "softhsm",
    "softhsm_token",
    "softhsm_vault",
]

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
        "reason), or the name of a list that keyhier ships: nss, softhsm",
    )
    group.addoption(
        "--keyhier-opencryptoki",
        action="store_true",
        help="run the tests that need opencryptoki, as root: its configuration, which is the "
        "whole system's, is moved aside and put back; CI=true does the same",
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


def _missing(reason: str) -> NoReturn:
    if _in_ci():
        pytest.fail(f"{reason} (with CI=true nothing is skipped)")
    pytest.skip(reason)


def _in_ci() -> bool:
    return os.environ.get("CI") == "true"


@pytest.fixture(scope="session")
def softhsm() -> SoftHsm:
    """SoftHSM in this process; skips where it is not installed, and fails there with CI=true."""
    from keyhier.errors import NotFoundError  # noqa: PLC0415  # See above.
    from keyhier.testing.softhsm import SoftHsm  # noqa: PLC0415

    try:
        return SoftHsm.current()
    except NotFoundError as error:
        reason = str(error)
    _missing(reason)


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


@pytest.fixture(scope="session")
def nss_token() -> PreparedToken:
    """This process's NSS token, for all tests; skips and fails as :func:`softhsm` does."""
    from keyhier.errors import NotFoundError  # noqa: PLC0415  # See above.
    from keyhier.testing import nss  # noqa: PLC0415

    try:
        return nss.nss_token()
    except NotFoundError as error:
        reason = str(error)
    _missing(reason)


@pytest.fixture(scope="session")
def network_hsm(softhsm: SoftHsm) -> Iterator[NetworkHsm]:
    """A SoftHSM token behind p11-kit-server; skips and fails as :func:`softhsm` does.

    All tests of the process share it; one that kills or stops it leaves it running again.
    """
    from keyhier.errors import NotFoundError  # noqa: PLC0415  # See above.
    from keyhier.testing.p11_kit import NetworkHsm  # noqa: PLC0415

    token = softhsm.new_token()
    try:
        hsm = NetworkHsm(token)
    except NotFoundError as error:
        reason = str(error)
    else:
        with hsm:
            yield hsm
        softhsm.remove(token)
        return
    _missing(reason)


@pytest.fixture(scope="session")
def opencryptoki(pytestconfig: pytest.Config) -> OpencryptokiToken:
    """What lends fresh opencryptoki tokens, one at a time for the whole machine.

    Skips unless ``--keyhier-opencryptoki`` or CI=true is given, because it takes the machine's
    one configuration of opencryptoki. Where it was asked for and cannot be had, the test fails.
    """
    from keyhier.testing.opencryptoki import opencryptoki_token  # noqa: PLC0415  # See above.

    if not (pytestconfig.getoption("--keyhier-opencryptoki") or _in_ci()):
        pytest.skip(
            "opencryptoki's configuration is the whole system's: "
            "ask for it with --keyhier-opencryptoki or CI=true"
        )
    return opencryptoki_token


@pytest.fixture(scope="class")
def opencryptoki_token(opencryptoki: OpencryptokiToken) -> Iterator[PreparedToken]:
    """A fresh opencryptoki token, for a class of tests or for one test; see `opencryptoki`.

    Tests in other processes wait for it. Its vaults are closed before the class ends.
    """
    with opencryptoki() as token:
        yield token


@pytest.fixture(scope="session")
def signing_key() -> RSAPrivateKey:
    """What the tenants of the vaults below sign with: making one takes longer than many a test."""
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415  # See above.

    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def keyvault(signing_key: RSAPrivateKey) -> Iterator[KeyVault]:
    """A new and empty Key Vault on loopback, which stops with the test."""
    from keyhier.testing.keyvault import KeyVault  # noqa: PLC0415  # See above.

    with KeyVault(signing_key=signing_key) as vault:
        yield vault


@pytest.fixture
def managed_hsm(signing_key: RSAPrivateKey) -> Iterator[KeyVault]:
    """A new and empty Managed HSM on loopback, which stops with the test."""
    from keyhier.testing.keyvault import KeyVault  # noqa: PLC0415  # See above.

    with KeyVault(managed_hsm=True, signing_key=signing_key) as vault:
        yield vault
